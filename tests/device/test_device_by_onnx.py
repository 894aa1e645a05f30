"""ONNX models in parts: nodes, and what ONNX Runtime fuses of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scripted import Scripted
from test_device_estimator_defects import Net
from test_device_estimators import Everything, X, net
from torch import Tensor, nn

from hwnas.device import LatencyGraphEstimator, LocalDevice, Profiler, Timing, export_onnx
from hwnas.device._estimators.by_onnx import by_onnx
from hwnas.device._runtimes.onnxruntime import OnnxRuntime
from hwnas.errors import DeviceError, ModelFault


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("which", ["everything", "net"])
def test_parts_compute_what_the_model_computes(tmp_path: Path, which: str, fused: bool) -> None:
    """Every part runs on what it gets in the model, and the last ones give its outputs."""
    torch.manual_seed(0)
    model = Everything() if which == "everything" else net(16, 16)
    inputs = (X, torch.randn(1, 1))[: 2 if which == "everything" else 1]
    whole = export_onnx(model, inputs, tmp_path / "net.onnx")
    parts = by_onnx(whole, inputs, fused=fused)
    computed = [
        tensor
        for path, given in parts.cut(range(len(parts.parts)), tmp_path)
        for tensor in OnnxRuntime().load(path, given).outputs()
    ]
    for expected in OnnxRuntime().load(whole, inputs).outputs():
        assert any(
            one.shape == expected.shape and torch.allclose(one, expected, atol=1e-5)
            for one in computed
        )
    sizes = [part.operators for part in parts.parts]
    assert (max(sizes) > 1) == fused
    assert sum(sizes) == len(by_onnx(whole, inputs, fused=False).parts)


def test_units_are_what_onnx_runtime_fuses() -> None:
    device = Scripted(runtime="onnxruntime")
    estimate = LatencyGraphEstimator(device, granularity="unit").estimate(net(16, 16), X)
    first = estimate.items[0]
    assert (first.name, first.item.kind, first.operators, first.count) == (
        "0.body.1.Conv",
        "unit",
        2,  # batch norm is in the convolution's weights
        2,
    )
    assert all(isinstance(model, Path) for model in device.models)


def test_calls_are_counted_and_dead_branches_left_out() -> None:
    device = Scripted(runtime="onnxruntime")
    estimate = LatencyGraphEstimator(device).estimate(Net(), X[:, :3])
    convolutions = [one for one in estimate.items if one.name.endswith("Conv")]
    assert [one.count for one in convolutions] == [1, 5]
    assert not any("Mul" in one.name for one in estimate.items)


def test_a_file_is_the_same_as_the_module_it_came_from(tmp_path: Path) -> None:
    path = export_onnx(net(16), X, tmp_path / "net.onnx")
    estimator = LatencyGraphEstimator(Scripted(runtime="onnxruntime"))
    from_file, from_module = estimator.estimates([path, net(16)], X)
    assert [one.item.key for one in from_file.items] == [one.item.key for one in from_module.items]


def test_a_subgraph_reads_what_lies_around_it(tmp_path: Path) -> None:
    class Branches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            return torch.cond(x.sum() > 0, lambda x, y: x + y, lambda x, y: x - y, (x, y))

    path = export_onnx(Branches(), X, tmp_path / "net.onnx")
    parts = by_onnx(path, (X,), fused=False)
    assert any("If" in part.item.text for part in parts.parts)
    for one, given in parts.cut(range(len(parts.parts)), tmp_path):
        OnnxRuntime().load(one, given)


def test_files_that_make_no_sense_are_errors(tmp_path: Path) -> None:
    device = Scripted(runtime="onnxruntime")
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    for name in ("bad.onnx", "missing.onnx"):
        with pytest.raises(ModelFault, match=f"{name} cannot be taken apart"):
            LatencyGraphEstimator(device).estimate(tmp_path / name, X)
    path = export_onnx(net(16), X, tmp_path / "net.onnx")
    with pytest.raises(ModelFault, match="takes 1 inputs"):
        LatencyGraphEstimator(device).estimate(path, (X, X))
    with pytest.raises(DeviceError, match="has no blocks"):
        LatencyGraphEstimator(device, granularity="block", blocks=["Block"]).estimate(path, X)


def test_a_real_network_by_nodes_units_and_whole() -> None:
    model, x = net(64, 64), torch.randn(1, 8, 64, 64)
    with LocalDevice(timing=Timing(time_cap=0.1)) as device:
        nodes = LatencyGraphEstimator(device).estimate(model, x)
        units = LatencyGraphEstimator(device, granularity="unit").estimate(model, x)
        whole = Profiler(device).estimate(model, x)
    assert nodes.coverage == units.coverage == 1
    assert 0.3 < units.value / whole.value < 4
    assert units.value < 1.3 * nodes.value
