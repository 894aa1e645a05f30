"""Latency of networks from measured parts: how they are cut, counted, kept and summed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scripted import Scripted, measurement
from torch import Tensor, nn
from torch.nn import functional

from hwnas import _plugins
from hwnas.device import (
    Calibration,
    Item,
    LatencyEstimator,
    LatencyGraphEstimator,
    LocalDevice,
    MeasurementStore,
    Model,
    Profiler,
    Timing,
    TrimmedMean,
)
from hwnas.device._estimators.by_graph import by_graph
from hwnas.device._estimators.by_module import by_module
from hwnas.device._estimators.parts import parts_of
from hwnas.errors import DeviceError, ModelFault

X = torch.randn(1, 8, 16, 16)
BOTH = pytest.mark.parametrize("estimator", [LatencyEstimator, LatencyGraphEstimator])
WAYS = pytest.mark.parametrize("way", [by_module, by_graph])


class Block(nn.Module):
    def __init__(self, width: int, kernel: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(8, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6(inplace=True),
            nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width, bias=False),
            nn.BatchNorm2d(width), nn.Hardswish(inplace=True),
            nn.Conv2d(width, 8, 1, bias=False), nn.BatchNorm2d(8),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def net(*widths: int) -> nn.Module:
    return nn.Sequential(
        *(Block(width) for width in widths),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(8, 10),
    )


class Everything(nn.Module):
    """What forwards do: several outputs, changes in place, attributes, constants, lists."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(16, 12, batch_first=True)
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)
        self.scale = nn.Parameter(torch.ones(12))
        self.register_buffer("shift", torch.zeros(12))
        self.identity = nn.Identity()

    def forward(self, x: Tensor, other: Tensor) -> dict[str, Tensor]:
        x = x[:, 0]
        x, (h, _) = self.rnn(x)
        x, _ = self.attention(x, x, x, need_weights=False)
        a, b = self.identity(x).chunk(2, dim=1)
        y = torch.cat([a, b.flip(1)], 1) * self.scale + self.shift
        y += 1.0
        functional.relu(y, inplace=True)
        y.clamp_(max=5.0)
        y[:, 0] = 0.5
        y = y.mT.contiguous().view(y.shape[0], -1)
        values, _ = torch.max(y, dim=1, keepdim=True)
        return {"y": 1 - values - other, "h": h.sum(0) + torch.arange(12)}


@WAYS
def test_parts_compute_what_the_network_computes(way) -> None:
    """Each part, run by itself on what it gets in the network, gives what it gives there."""
    torch.manual_seed(0)
    model, inputs = Everything().eval(), (X, torch.randn(1, 1))
    network = way(model, inputs)
    live = network.live()
    expected = network.values({node for node in live if "tensor" in node.meta})
    parts = parts_of(network, "operator", ())
    assert len(parts.parts) == len(live) > 12
    checked = 0
    for node, (part, given) in zip(live, parts.cut(range(len(live)), Path()), strict=True):
        output = part(*given)
        if node in expected:
            # Kernels round in an order that depends on where in memory their inputs lie.
            torch.testing.assert_close(
                output, expected[node], rtol=1e-5, atol=1e-6, equal_nan=True, msg=str(node)
            )
            checked += 1
    assert checked > 10
    want = model(*inputs)
    have = network.module(*inputs)
    have = have if isinstance(have, dict) else dict(zip("yh", have, strict=True))
    assert all(torch.allclose(have[key], want[key], atol=1e-6) for key in want)


@WAYS
@pytest.mark.parametrize("name", ["mobilenetv3", "nasbench201", "shufflenetv2"])
def test_networks_of_the_zoo_are_taken_apart_completely(way, name: str) -> None:
    space = _plugins.load("spaces", name)()
    model = space.build(space.sample(np.random.default_rng(1))).eval()
    network = way(model, (torch.randn(1, 3, 32, 32),))
    parts = parts_of(network, "unit", ()).parts
    assert sum(part.operators for part in parts) == len(network.live())
    assert {part.item.kind for part in parts} == {"operator", "unit"}
    assert len({part.item.key for part in parts}) < len(parts)


@BOTH
def test_units_are_a_layer_with_its_norm_and_activation(estimator) -> None:
    unit = estimator(Scripted(), granularity="unit").estimate(net(16, 16), X)
    by_kind = [(one.item.kind, one.operators, one.count) for one in unit.items]
    assert by_kind[:4] == [("unit", 3, 2), ("unit", 3, 2), ("unit", 2, 2), ("operator", 1, 2)]
    operators = estimator(Scripted()).estimate(net(16, 16), X)
    assert sum(one.count * one.operators for one in unit.items) == operators.value


@BOTH
@pytest.mark.parametrize("blocks", [[Block], ["Block"], ["[01]"]])
def test_blocks_are_found_by_class_name_or_path(estimator, blocks) -> None:
    estimate = estimator(Scripted(), granularity="block", blocks=blocks).estimate(net(16, 16), X)
    first = estimate.items[0]
    assert (first.name, first.item.kind, first.operators, first.count) == ("0", "block", 9, 2)
    assert [one.item.kind for one in estimate.items[1:]] == ["operator"] * 3


@BOTH
def test_a_unit_ends_where_somebody_else_reads(estimator) -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act = nn.Conv2d(8, 8, 1), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            return x + self.act(x)

    estimate = estimator(Scripted(), granularity="unit").estimate(Fork(), X)
    assert [one.item.kind for one in estimate.items] == ["operator"] * 3


@BOTH
def test_items_differ_by_attributes_shapes_types_and_batch_and_not_by_weights(estimator) -> None:
    device = Scripted()

    def keys(model: nn.Module, x: Tensor) -> set[str]:
        return {one.item.key for one in estimator(device).estimate(model, x).items}

    one = keys(nn.Conv2d(8, 8, 3), X)
    assert one == keys(nn.Conv2d(8, 8, 3), X + 1)
    others = [
        keys(nn.Conv2d(8, 8, 3, stride=2), X),
        keys(nn.Conv2d(8, 8, 3, bias=False), X),
        keys(nn.Conv2d(8, 8, 3), X[:, :, 1:]),
        keys(nn.Conv2d(8, 8, 3).double(), X.double()),
    ]
    assert len({next(iter(keys)) for keys in [one, *others]}) == 5
    for granularity in ("operator", "unit", "network"):
        if granularity == "network":
            first, second = Profiler(device), Profiler(device)
        else:
            first, second = (estimator(device, granularity=granularity) for _ in range(2))
        assert first.new_items([net(8)], X) != second.new_items([net(8)], X[:, :, 1:])


def test_the_items_of_all_networks_are_measured_in_one_go() -> None:
    device = Scripted()
    estimator = LatencyEstimator(device, granularity="block", blocks=[Block])
    nets = [net(16, 24), net(24, 32, 16), net(32)]
    items = estimator.new_items(nets, X)
    assert len(items) == 6
    estimates = estimator.estimates(nets, X)
    assert device.calls == [(6, None, True)]
    assert [one.value for one in estimates] == [5, 6, 4]
    assert estimator.new_items(nets, X) == []
    estimator.estimates(nets, X)
    assert len(device.calls) == 1
    estimator.reset()
    assert estimator.new_items(nets, X) == items


def test_a_store_serves_the_next_estimator(tmp_path: Path) -> None:
    with MeasurementStore(tmp_path / "store.sqlite") as store:
        first = LatencyEstimator(Scripted(lambda model: 2.0), store=store).estimate(net(16), X)
        second = Scripted(lambda model: 100.0)
        again = LatencyEstimator(second, store=store).estimate(net(16), X)
        assert again.value == first.value
        assert second.calls == []
        other = LatencyEstimator(second, store=store).estimate(net(24), X)
        assert 0 < second.calls[0][0] < len(other.items)
        # A mean without outliers is not in what was stored.
        trimmed = LatencyEstimator(second, store=store, outlier=0.1)
        assert len(trimmed.new_items([net(16)], X)) == len(first.items)
        for one in first.items:
            kept = measurement(1.0)
            object.__setattr__(kept, "trimmed", TrimmedMean(0.1, 0.5, 0.01))
            store.put(one.item, kept)
        assert trimmed.estimate(net(16), X).items[0].latency.value == 0.5


def test_stored_measurements_are_told_at_the_speed_of_the_new_ones(tmp_path: Path) -> None:
    with MeasurementStore(tmp_path / "store.sqlite") as store:
        LatencyEstimator(Scripted(reference=2.0), store=store).estimate(net(16), X)
        estimate = LatencyEstimator(Scripted(reference=3.0), store=store).estimate(net(16, 24), X)
    assert estimate.reference == 3.0
    assert {round(one.latency.value, 6) for one in estimate.items} == {1.0, 1.5}


def test_what_was_asked_for_reaches_the_device() -> None:
    device = Scripted()
    device.timing = Timing(block=7e-3)
    LatencyEstimator(
        device, n_run=50, n_warmup=3, outlier=0.1, max_measure_execution_time=2.0
    ).estimate(net(8), X)
    LatencyEstimator(device, n_run=50).estimate(net(8), X)
    asked, runs = device.calls[0][1], device.calls[1][1]
    assert asked == Timing(
        width=None, time_cap=1.6, rounds=(1, 50), block=7e-3, warm_up=3, outlier=0.1
    )
    assert runs == Timing(width=None, rounds=(50, 50), block=7e-3)


def test_the_std_is_that_of_a_sum_of_independent_items() -> None:
    estimate = LatencyEstimator(Scripted()).estimate(net(16, 16), X)
    variance = sum((one.count * one.latency.std) ** 2 for one in estimate.items)
    assert estimate.std == pytest.approx(variance**0.5)
    assert sum(one.share for one in estimate.items) == pytest.approx(1)
    assert estimate.to_dict()["coverage"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"granularity": "layer"}, "granularity is one of"),
        ({"granularity": "block"}, "needs `blocks`"),
        ({"blocks": ["Block"]}, "needs `blocks`"),
        ({"n_run": 0}, "rounds"),
        ({"outlier": 1.0}, "outlier"),
        ({"n_warmup": -1}, "warm_up"),
        ({"max_measure_execution_time": 0.0}, "time_cap"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        LatencyEstimator(Scripted(), **options)


def test_networks_that_cannot_be_estimated_are_errors(tmp_path: Path) -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ZeroDivisionError("no")

    class Depends(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2 if x.sum() > 0 else x

    by_parts = LatencyEstimator(Scripted())
    for model, message in ((Fails(), "Fails cannot be called"), (nn.Identity(), "no operators")):
        with pytest.raises(DeviceError, match=message):
            by_parts.estimate(model, X)
    assert by_parts.estimate(Depends(), X.abs()).value == 3
    with pytest.raises(ModelFault, match="Depends cannot be exported"):
        LatencyGraphEstimator(Scripted()).estimate(Depends(), X)
    with pytest.raises(DeviceError, match="batches of 1"):
        by_parts.estimate(net(8), torch.randn(2, 8, 16, 16))
    with pytest.raises(DeviceError, match="is a file"):
        by_parts.estimate("net.onnx", X)
    with pytest.raises(DeviceError, match="one of the blocks \\(Nothing\\)"):
        LatencyEstimator(Scripted(), granularity="block", blocks=["Nothing"]).estimate(net(8), X)
    with pytest.raises(ModelFault, match="cannot be read"):
        Profiler(Scripted()).estimate(tmp_path / "net.onnx", X)


def test_estimates_are_calibrated_on_whole_networks() -> None:
    """The two go together: choose, measure, fit, apply."""

    def ms(model: Model) -> float:
        assert isinstance(model, nn.Module)
        return 0.5 + 1e-3 * sum(p.numel() for p in model.parameters())

    device = Scripted(ms)
    nets = [net(*widths) for widths in ([8], [16], [32], [64], [8, 16], [16, 64], [64, 64])]
    estimates = LatencyEstimator(device, granularity="unit").estimates(nets, X)
    sums = [one.ms.value for one in estimates]
    chosen = Calibration.choose(sums, 5)
    truth = Profiler(device).estimates([nets[i] for i in chosen], X)
    assert device.calls[-1] == (5, None, False)
    line = Calibration.fit([sums[i] for i in chosen], [one.ms.value for one in truth])
    assert line.apply(sums[0]).value == pytest.approx(ms(nets[0]), rel=0.5)


def test_module_graph_and_whole_agree_on_a_real_network(tmp_path: Path) -> None:
    """Measured for real, in eager PyTorch; the bounds are for hosts that others use too."""
    model, x = net(64, 64), torch.randn(1, 8, 64, 64)
    with (
        LocalDevice(runtime="torch", timing=Timing(time_cap=0.1)) as device,
        MeasurementStore(tmp_path / "store.sqlite") as store,
    ):
        by_layers = LatencyEstimator(device, store=store).estimate(model, x)
        by_operators = LatencyGraphEstimator(device, store=store).estimate(model, x)
        whole = Profiler(device, store=store).estimate(model, x)
        kinds = {stored.item.kind for stored in store.all(**device.conditions)}
    assert by_layers.coverage == by_operators.coverage == whole.coverage == 1
    assert 0.7 < by_layers.value / by_operators.value < 1.4
    assert 0.5 < by_layers.value / whole.value < 1.5
    assert kinds == {"operator", "network"}
    assert isinstance(whole.items[0].item, Item)
