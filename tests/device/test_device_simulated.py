"""SimulatedDevice keeps the contract of a device, with numbers that are known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hwnas.device import Measurement, SimulatedDevice
from hwnas.errors import DeviceError, ModelFault

X = torch.zeros(4, 3)
TABLE = {"Linear": 2.0, "ReLU": 0.5, "Tanh": 0.0}


def device(**options: float) -> SimulatedDevice:
    return SimulatedDevice("phone", lambda model, inputs: TABLE[type(model).__name__], **options)


def test_the_table_is_what_is_measured() -> None:
    with device() as phone:
        first, second = phone.measure([nn.Linear(3, 3), nn.ReLU()], X)
    assert (first.median, second.median) == (2.0, 0.5)
    assert first.low == first.high == 2.0
    assert first.throughput == 2000


def test_noise_is_that_of_the_seed() -> None:
    models = [nn.Linear(3, 3)] * 5
    with device(noise=0.05, seed=1) as a, device(noise=0.05, seed=1) as b:
        taken = a.measure(models, X)
        assert taken == b.measure(models, X)
    assert len({one.median for one in taken}) == 5
    assert all(one.low < one.median < one.high for one in taken)
    assert all(one.median == pytest.approx(2, rel=0.1) for one in taken)


def test_what_has_no_latency_is_named_and_the_rest_is_told() -> None:
    with device() as phone:
        first, second, third = phone.measure_each([nn.GELU(), nn.ReLU(), nn.Tanh()], X)
    assert isinstance(first, ModelFault)
    assert str(first) == "device 'phone': model 1 of 3 (GELU): KeyError: 'GELU'"
    assert isinstance(second, Measurement)
    assert "its latency is 0.0" in str(third)
    with pytest.raises(DeviceError, match="noise"):
        device(noise=-1)
