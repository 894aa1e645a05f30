"""ONNX files are whole, checked and quiet, and the model is left alone."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from hwnas.device import check_onnx, export_onnx
from hwnas.errors import DeviceError


class Unexportable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("the reason of the failure")


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 2))


def test_one_quiet_file_that_agrees(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    net, inputs = model(), torch.randn(1, 4)
    path = export_onnx(net, inputs, tmp_path / "deep" / "net.onnx")
    assert [file.name for file in path.parent.iterdir()] == ["net.onnx"]
    assert capfd.readouterr() == ("", "")
    assert all(module.training for module in net.modules())
    check_onnx(path, net, inputs)


def test_another_model_does_not_agree(tmp_path: Path) -> None:
    inputs = torch.randn(1, 4)
    path = export_onnx(model(), inputs, tmp_path / "net.onnx")
    other = model()
    nn.init.normal_(other[0].weight)
    with pytest.raises(DeviceError, match="disagrees"):
        check_onnx(path, other, inputs)


@pytest.mark.parametrize("example", [1, 3])
def test_the_batch_can_be_left_open(tmp_path: Path, example: int) -> None:
    net = model()
    path = export_onnx(net, torch.randn(example, 4), tmp_path / "net.onnx", dynamic_batch=True)
    for batch in (1, 2, 7):
        check_onnx(path, net, torch.randn(batch, 4))
    fixed = onnx.load(path).graph.input[0].type.tensor_type.shape.dim[1]
    assert fixed.dim_value == 4


def test_a_failed_export_leaves_nothing_changed(tmp_path: Path) -> None:
    net, target = Unexportable(), tmp_path / "net.onnx"
    net.norm.eval()
    target.write_bytes(b"the file of before")
    with pytest.raises(
        DeviceError, match=r"Unexportable cannot be exported.*reason of the failure"
    ):
        export_onnx(net, torch.randn(2, 4), target)
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]
    assert target.read_bytes() == b"the file of before"
    assert net.training
    assert not net.norm.training
