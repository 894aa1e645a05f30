"""Export to ONNX: one file, whole or absent, checked, and quiet."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import torch
from torch import Tensor, nn

from hwnas._files import replacing
from hwnas.device._faults import naming
from hwnas.device._runtimes.agreement import check_agreement, eager_outputs
from hwnas.device._runtimes.quiet import quiet

_EXPORTING = threading.Lock()
"""PyTorch's exporter keeps state of the process: one thread at a time."""


def export_onnx(
    model: nn.Module,
    inputs: Tensor | tuple[Tensor, ...],
    path: str | os.PathLike[str],
    *,
    dynamic_batch: bool = False,
) -> Path:
    """Write `model`, in evaluation mode, to the ONNX file `path`.

    The file holds the weights too, appears only once it is complete, and has passed
    `onnx.checker`. Training flags are put back, also after an error. Returns `path`.

    Args:
        inputs: example tensors with the batch dimension first.
        dynamic_batch: leave the size of every input's first dimension open.

    Raises:
        ModelFault: the model cannot be exported; the message ends with the exporter's reason.
    """
    import onnx

    target = Path(path)
    tensors = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    shapes = None
    if dynamic_batch:
        # The exporter takes a batch of one for a constant, so it is shown two.
        tensors = tuple(torch.cat([x, x]) if x.shape[0] == 1 else x for x in tensors)
        shapes = [{0: torch.export.Dim.DYNAMIC} for _ in tensors]
    training = {module: module.training for module in model.modules()}
    try:
        with _EXPORTING, replacing(target) as temporary:
            model.eval()
            name = type(model).__name__
            with naming(f"{name} cannot be exported to ONNX"), quiet(), torch.no_grad():
                program = torch.onnx.export(
                    model, tensors, dynamo=True, dynamic_shapes=shapes, verbose=False
                )
                assert program is not None
                program.save(temporary, external_data=False)
            with naming(f"the export of {name} is not valid"):
                onnx.checker.check_model(str(temporary))
    finally:
        for module, flag in training.items():
            module.training = flag
    return target


def check_onnx(
    path: str | os.PathLike[str], model: nn.Module, inputs: Tensor | tuple[Tensor, ...]
) -> None:
    """Check that the ONNX file computes what the eager `model` computes on `inputs`.

    Raises:
        ModelFault: the file cannot be run, or an output differs by more than fp32 rounding.
    """
    from hwnas.device._runtimes.onnxruntime import OnnxRuntime

    tensors = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    runnable = OnnxRuntime().load(Path(path), tensors)
    check_agreement(eager_outputs(model, tensors), runnable.outputs(), "onnxruntime")
