"""What a check makes of its sessions."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from torch import nn

from hwnas.device import Canary, LocalDevice, Measurement, Timing, check_health
from hwnas.device._health import health_of
from hwnas.device._worker_device import PROCESS_STD


@pytest.fixture(scope="module")
def one() -> Measurement:
    with LocalDevice(runtime="torch", timing=Timing(time_cap=0.05)) as device:
        (taken,) = device.measure([nn.Flatten()], torch.zeros(1, 3, 8, 8))
    return replace(taken, warnings=())


def session(one: Measurement, median: float, speed: float = 1.0, *, alone: bool = True):
    return replace(
        one,
        median=median,
        low=median,
        high=median,
        raw_median=median * speed,
        canary=Canary(median=speed, reference=1.0),
        warnings=() if alone else ("contention: somebody",),
    )


def test_steady_medians_on_a_drifting_host_are_good(one: Measurement) -> None:
    health = health_of([session(one, m, s) for m, s in ((1.0, 1.0), (1.01, 1.4), (0.99, 1.0))])
    assert health.verdict == "good"
    assert health.noise == pytest.approx(0.01)
    assert health.raw_noise > 0.1
    assert health.drift == pytest.approx(0.4)
    assert health.smallest_difference == pytest.approx(0.0277, rel=0.01)
    assert health.advice == []


def test_what_differs_between_processes_is_what_their_samples_do_not_show(one: Measurement) -> None:
    draws = random.Random(0)
    apart = [session(one, draws.gauss(1, 0.02)) for _ in range(60)]
    assert health_of(apart).process_std == pytest.approx(0.02, rel=0.2)
    unsure = [replace(s, low=0.95 * s.median, high=1.05 * s.median) for s in apart]
    assert health_of(unsure).process_std < 0.005
    few = [session(one, 1.0) for _ in range(3)]
    assert 0.5 * PROCESS_STD < health_of(few).process_std < PROCESS_STD


def test_a_check_leaves_the_device_as_it_was() -> None:
    with LocalDevice(timing=Timing(time_cap=0.02), process_std=0.03) as device:
        health = check_health(device, 0)
        assert device.process_std == 0.03
    assert len(health.sessions) == 3
    assert health.process_std > 0


def test_what_stands_in_the_way_is_told(one: Measurement) -> None:
    health = health_of([session(one, 1 + i / 5, 1 + i / 5, alone=i > 0) for i in range(3)])
    assert health.verdict == "poor"
    assert health.slowing == pytest.approx(0.4)
    assert "33% of the sessions" in health.advice[0]
    assert "slower meanwhile" in health.advice[1]
