"""A measurement is a checked value that survives JSON."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.device import Canary, Environment, Measurement, Percentiles
from hwnas.device._timing.stats import drifted, median_interval
from hwnas.errors import DeviceError

ENVIRONMENT = Environment(
    platform="Linux",
    python="3.11",
    cpu="a CPU",
    cores=2,
    accelerator="cpu",
    runtime="torch",
    runtime_version="2",
    torch_version="2",
    threads=1,
    batch_size=1,
    precision="fp32",
    clock="wall",
    affinity=(0, 1),
)
MEASUREMENT = Measurement(
    device="local",
    metric="latency",
    unit="ms",
    median=10.0,
    low=9.8,
    high=10.2,
    confidence=0.95,
    n=20,
    samples=Percentiles(9.5, 10.5, 11.0),
    raw_median=11.0,
    canary=Canary(median=0.22, reference=0.2),
    converged=True,
    warnings=("drift: the host runs +10% off its reference time",),
    environment=ENVIRONMENT,
)


def test_a_measurement_of_one_process_is_what_earlier_versions_read() -> None:
    assert "processes" not in MEASUREMENT.to_dict()


@pytest.mark.parametrize(
    "one",
    [MEASUREMENT, replace(MEASUREMENT, canary=None), replace(MEASUREMENT, processes=3)],
)
def test_json_round_trip(one: Measurement) -> None:
    assert Measurement.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_the_estimate_holds_the_interval() -> None:
    estimate = MEASUREMENT.estimate
    assert estimate.value == 10.0
    assert estimate.quantile(0.975) == pytest.approx(10.2)


def test_the_canary_tells_the_drift() -> None:
    assert MEASUREMENT.canary is not None
    assert MEASUREMENT.canary.drift == pytest.approx(0.1)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("field", ["median", "low", "high", "raw_median"])
def test_a_number_that_cannot_be_a_latency_is_an_error(field: str, value: float) -> None:
    with pytest.raises(DeviceError):
        replace(MEASUREMENT, **{field: value})


def test_a_median_outside_its_interval_is_an_error() -> None:
    with pytest.raises(DeviceError, match="outside its interval"):
        replace(MEASUREMENT, low=10.1)


@pytest.mark.parametrize(
    "change",
    [{"schema": 99}, {"schema": None}, {"samples": None}, {"surprise": 1}, {"environment": {}}],
)
def test_what_is_not_a_measurement_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DeviceError, match="measurement"):
        Measurement.from_dict({**MEASUREMENT.to_dict(), **change})


def test_a_missing_field_is_refused() -> None:
    data = MEASUREMENT.to_dict()
    del data["n"]
    with pytest.raises(DeviceError, match="'n'"):
        Measurement.from_dict(data)


def test_the_interval_of_a_median_is_the_binomial_one() -> None:
    # Table of ranks for 95 %: 6 samples need all of them, 10 the 2nd to 9th, 20 the 6th to 15th.
    for n, rank in ((6, 1), (10, 2), (20, 6), (100, 40)):
        low_and_high = zip(range(1, n // 2 + 1), range(n, n // 2, -1), strict=True)
        _, low, high = median_interval([x for pair in low_and_high for x in pair], 0.95)
        assert (low, high) == (rank, n + 1 - rank)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60), st.sampled_from([0.5, 0.95]))
def test_the_interval_holds_the_median(samples: list[float], confidence: float) -> None:
    median, low, high = median_interval(samples, confidence)
    assert min(samples) <= low <= median <= high <= max(samples)


def test_many_samples_do_not_overflow() -> None:
    samples = list(range(5000))
    random.Random(0).shuffle(samples)
    _, low, high = median_interval(samples, 0.95)
    assert 2400 < low < 2500 < high < 2600


@pytest.mark.parametrize("memory", [0.0, 0.3, 0.6])
def test_intervals_hold_the_median_also_of_samples_that_hang_together(memory: float) -> None:
    rng, held = random.Random(0), 0
    for _ in range(200):
        value, samples = rng.gauss(0, 1), []
        for _ in range(100):
            value = memory * value + (1 - memory**2) ** 0.5 * rng.gauss(0, 1)
            samples.append(10 + value)
        _, low, high = median_interval(samples, 0.95)
        held += low <= 10 <= high
    assert held >= 180


def test_a_host_far_from_the_reference_makes_a_number_less_sure() -> None:
    interval = (10.0, 9.9, 10.2)
    assert drifted(interval, 0.95, after=1.0) == pytest.approx(interval)
    near, far = (drifted(interval, 0.95, after=speed) for speed in (1.1, 1.5))
    assert far[1] < near[1] < 9.9
    assert far[2] > near[2] > 10.2
    assert far[1] < 10 * 1.5**-0.3 < 10 * 1.5**0.3 < far[2]  # a network that lacks 30 % of it
    assert drifted(far, 0.95, before=1.5, after=1.0) == pytest.approx(interval)


def test_another_reference_and_back_is_the_same() -> None:
    one = replace(MEASUREMENT, canary=Canary(median=0.2, reference=0.2))
    again = one.at(0.5).at(0.2)
    assert (again.median, again.low, again.high) == pytest.approx((one.median, one.low, one.high))
