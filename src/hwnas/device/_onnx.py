"""What the runtimes that read ONNX files have in common."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from torch import nn

from hwnas.device._base import Inputs, Model, Prepared, Runtime
from hwnas.device._export import export_onnx
from hwnas.device._onnx_precision import convert
from hwnas.errors import ModelFault


class OnnxFileRuntime(Runtime):
    """Loads ONNX files, and modules by way of one."""

    reads_onnx: ClassVar[bool] = True
    _converted: ClassVar[tuple[str, ...]] = ()
    """The precisions that the file must be converted to; the others are the runtime's business."""

    def _prepare(self, model: Model, inputs: Inputs, folder: Path) -> Prepared:
        if isinstance(model, nn.Module):
            path = export_onnx(model, inputs, folder / "model.onnx")
        else:
            path = Path(model)
        if not path.is_file():
            raise ModelFault(f"there is no ONNX file {path}")
        if self.precision in self._converted:
            path = convert(path, self.precision, inputs, folder)
        return Prepared(path, path.stat().st_size + sum(_external(path)))


def check_inputs(names: list[str], inputs: Inputs) -> None:
    """Raise ModelFault unless there is a tensor for each input of the ONNX model."""
    if len(names) != len(inputs):
        raise ModelFault(
            f"the ONNX model takes {len(names)} inputs ({', '.join(names)}), not {len(inputs)}"
        )


def _external(path: Path) -> list[int]:
    """The sizes of the files beside `path` that hold its weights; none if it holds them itself."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError:
        return []  # the runtime has the better message
    names = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    files = [path.parent / name for name in names]
    return [file.stat().st_size for file in files if file.is_file()]
