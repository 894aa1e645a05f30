"""What the runtimes that read ONNX files have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from hwnas.device._base import Inputs, Model, Prepared, Runtime, arrays_of
from hwnas.device._faults import naming
from hwnas.device._runtimes.export import export_onnx
from hwnas.device._runtimes.onnx_precision import convert
from hwnas.device._timing.runnable import Runnable
from hwnas.errors import ModelFault


class OnnxFileRuntime(Runtime):
    """Loads ONNX files, and modules by way of one."""

    reads_onnx: ClassVar[bool] = True
    _session: ClassVar[type[Any]]
    """The `Session` of the module `session`, with its outputs as tensors."""
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

    def _start(self, prepared: Prepared, inputs: Inputs) -> Runnable:
        assert isinstance(prepared.source, Path)
        runnable: Runnable = self._session(
            prepared.source,
            arrays_of(inputs),
            threads=self.threads,
            precision=self.precision,
            accelerator=self.accelerator,
        )
        return runnable


def example_inputs(path: str | os.PathLike[str], batch_size: int = 1) -> Inputs:
    """Noise for each input of an ONNX file, always the same; zeros for inputs of whole numbers.

    Raises:
        ModelFault: the file cannot be read, has another batch size, or leaves the size of another
            dimension open.
    """
    import onnx

    file = Path(path)
    if not file.is_file():
        raise ModelFault(f"there is no ONNX file {file}")
    with naming(f"cannot read {file}"):
        graph = onnx.load(file, load_external_data=False).graph
    constant = {tensor.name for tensor in graph.initializer}
    generator, found = torch.Generator().manual_seed(0), []
    for node in graph.input:
        if node.name in constant:
            continue
        kind = node.type.tensor_type
        sizes = [dim.dim_value or None for dim in kind.shape.dim]
        if sizes and sizes[0] not in (None, batch_size):
            raise ModelFault(
                f"{file} takes batches of {sizes[0]}, not of {batch_size}; export it anew"
            )
        if None in sizes[1:]:
            raise ModelFault(
                f"{file}: input '{node.name}' has open sizes beside the batch", "dynamic shape"
            )
        shape = [batch_size, *(size for size in sizes[1:] if size)][: len(sizes)]
        dtype = torch.from_numpy(
            np.empty(0, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
        ).dtype
        if dtype.is_floating_point:
            found.append(torch.randn(shape, generator=generator).to(dtype))
        else:
            found.append(torch.zeros(shape, dtype=dtype))
    return tuple(found)


def whole_file(path: Path) -> bytes:
    """A model's file as bytes; weights that lie in files beside it are put inside."""
    if path.suffix != ".onnx" or not _external(path):
        return path.read_bytes()
    import onnx

    return bytes(onnx.load(path).SerializeToString())


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
