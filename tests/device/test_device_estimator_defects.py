"""What is wrong in other estimators of layer-wise latency, one test each: here it is right."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from scripted import Scripted
from torch import Tensor, fx, nn
from torch.nn import functional

from hwnas.cost import static_costs
from hwnas.device import (
    LatencyEstimate,
    LatencyEstimator,
    LatencyGraphEstimator,
    LocalDevice,
    Profiler,
    Timing,
)
from hwnas.errors import DeviceError, ModelFault

X = torch.randn(1, 3, 8, 8)
BOTH = pytest.mark.parametrize("estimator", [LatencyEstimator, LatencyGraphEstimator])


@pytest.fixture(scope="module")
def eager() -> Iterator[LocalDevice]:
    with LocalDevice(runtime="torch", timing=Timing(time_cap=0.1)) as device:
        yield device


class Net(nn.Module):
    """A layer called five times, functions, a branch that nobody reads and one times zero."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.again = nn.Conv2d(4, 4, 1)
        self.unread = nn.Conv2d(4, 5, 3)
        self.zeroed = nn.Conv2d(4, 4, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x))
        self.unread(x)
        for _ in range(5):
            x = self.again(x)
        x = x + self.zeroed(x).mul(0.0) + torch.zeros_like(self.zeroed(x))
        return functional.hardswish(x).mean((2, 3))


def counts(estimate: LatencyEstimate) -> dict[str, int]:
    """Of the items, by the last word of their names."""
    return {one.name.rpartition(".")[2]: one.count for one in estimate.items}


class Busy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        end = time.perf_counter() + 0.02
        while time.perf_counter() < end:
            pass
        return x * 2


@BOTH
def test_the_unit_asked_for_is_the_unit_returned(estimator) -> None:
    """`time_scale` was never passed on: always milliseconds."""
    values = {
        scale: estimator(Scripted(lambda model: 0.25), time_scale=scale).estimate(Net(), X)
        for scale in "mun"
    }
    ms = values["m"]
    assert [values[scale].unit for scale in "mun"] == ["ms", "us", "ns"]
    for scale, factor in (("u", 1e3), ("n", 1e6)):
        one = values[scale]
        assert one.value == pytest.approx(factor * ms.value)
        assert one.std == pytest.approx(factor * ms.std)
        assert one.items[0].latency.value == pytest.approx(factor * 0.25)
        assert one.ms.value == pytest.approx(ms.value)
    with pytest.raises(DeviceError, match="time_scale"):
        estimator(Scripted(), time_scale="s")


def test_the_time_cap_is_for_all_runs_and_leaves_at_least_one(eager: LocalDevice) -> None:
    """The cap held for a single run, and one above it left an empty list: NaN."""
    capped = Profiler(eager, n_run=5000, max_measure_execution_time=0.5).estimate(Busy(), X)
    assert 1 <= capped.items[0].measurement.n < 100
    shut = Profiler(eager, n_run=5000, outlier=0.99, max_measure_execution_time=1e-6)
    one = shut.estimate(Busy(), X)
    assert one.items[0].measurement.n == 1
    assert math.isfinite(one.value)
    assert one.value > 0
    asked = Profiler(eager, n_run=9).estimate(Busy(), X)
    assert asked.items[0].measurement.n == 9


class HalfBroken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + torch.log(-1 - x.abs()).nan_to_num().sum()


def test_what_cannot_be_measured_is_named_and_never_zero(eager: LocalDevice) -> None:
    """Any exception was a latency of 0, and remembered."""
    estimator = LatencyEstimator(eager)
    estimate = estimator.estimate(HalfBroken(), X)
    (missing,) = estimate.missing
    assert missing.name == "log"
    assert "NaN" in missing.reason
    assert estimate.coverage == pytest.approx(1 - 1 / 7)
    assert all(one.latency.value > 0 for one in estimate.items)
    assert [item.key for item in estimator.new_items([HalfBroken()], X)] == [missing.item.key]
    with pytest.raises(ModelFault, match="broken"):
        LatencyEstimator(Scripted(lambda model: None)).estimate(Net(), X)


@BOTH
def test_a_frozen_network_takes_as_long(estimator) -> None:
    """Layers without `need_grad` were passed over: 0."""
    frozen = Net().requires_grad_(False)
    one, other = estimator(Scripted()).estimates([Net(), frozen], X)
    assert counts(one) == counts(other)
    assert one.value == other.value > 0


@BOTH
def test_every_call_of_a_layer_counts(estimator) -> None:
    """A layer called five times counted once."""
    device = Scripted()
    estimate = estimator(device).estimate(Net(), X)
    (again,) = (one for one in estimate.items if "again" in one.name)
    assert again.count == 5
    assert again.share == pytest.approx(5 / estimate.value)
    assert len(device.models) == len(estimate.items) < estimate.value


@BOTH
def test_functions_are_seen(estimator) -> None:
    """Only modules were: additions, activations and means by function took no time."""
    found = counts(estimator(Scripted()).estimate(Net(), X))
    assert found["add"] == 2
    assert found["hardswish"] == found["mean"] == 1


@BOTH
def test_a_network_in_training_is_measured_in_evaluation(estimator) -> None:
    """By graph, batch norm was timed with the statistics of the batch."""
    device, net = Scripted(), Net().train()
    before = net.norm.running_mean.clone()
    estimator(device).estimate(net, X)
    for model in device.models:
        assert not any(
            part.training for part in model.modules() if isinstance(part, nn.BatchNorm2d)
        )
        for node in model.graph.nodes if isinstance(model, fx.GraphModule) else ():
            if node.target is torch.ops.aten.batch_norm.default:
                assert node.args[5] is False
    assert all(part.training for part in net.modules())
    assert torch.equal(net.norm.running_mean, before)


@BOTH
def test_dead_branches_are_not_measured(estimator) -> None:
    """What a zero operation or nobody reads was still timed."""
    device = Scripted()
    names = " ".join(one.name for one in estimator(device).estimate(Net(), X).items)
    assert "stem" in names
    for dead in ("unread", "zeroed", "mul", "zeros_like"):
        assert dead not in names
    assert len(device.models) == 6


def test_memory_is_in_bytes_and_activations_count(eager: LocalDevice) -> None:
    """It was the number of elements of the weights."""
    net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.ReLU())
    (measured,) = eager.measure([net], X)
    weights = 3 * 16 * 9
    assert measured.size_bytes == 4 * weights
    costs = static_costs(net, X, ["params", "weight_bytes", "peak_activation_bytes"])
    assert costs["params"] == weights
    assert costs["weight_bytes"] == 4 * weights
    assert costs["peak_activation_bytes"] >= 4 * 2 * 16 * 64


def test_the_network_that_is_scored_is_the_one_measured(hwnas, folder: Path) -> None:
    """A search drew another architecture for the constraint than for the score."""
    hwnas(
        "search", "nets:small", "--task", "digits", "--train", "nets:idle", "--job", "job",
        "--trials", "3", "--budget", "latency@eager <= 50 ms", "--device", "eager=torch",
    )  # fmt: skip
    trials = json.loads(hwnas("show", "job", "--json").stdout)["trials"]
    assert len(trials) == 3
    for trial in trials:
        width = trial["arch"]["width"]
        stored = folder / f"job/trials/{trial['number']}/measurements.json"
        measured = json.loads(stored.read_text())["eager"]
        assert measured["size_bytes"] == 4 * (65 * width + 10 * (width + 1))
