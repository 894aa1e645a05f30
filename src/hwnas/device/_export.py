"""Export to ONNX: one file, whole or absent, checked, and quiet."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from hwnas._files import replacing
from hwnas.device._agreement import check_agreement, eager_outputs
from hwnas.errors import DeviceError


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
        DeviceError: the model cannot be exported; the message ends with the exporter's reason.
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
        with replacing(target) as temporary:
            model.eval()
            try:
                with _quiet(), torch.no_grad():
                    program = torch.onnx.export(
                        model, tensors, dynamo=True, dynamic_shapes=shapes, verbose=False
                    )
                    assert program is not None
                    program.save(temporary, external_data=False)
            except Exception as error:
                reason = _reason(error)
                name = type(model).__name__
                raise DeviceError(f"{name} cannot be exported to ONNX: {reason}") from error
            try:
                onnx.checker.check_model(str(temporary))
            except onnx.checker.ValidationError as error:
                raise DeviceError(f"the export of {type(model).__name__}: {error}") from error
    finally:
        for module, flag in training.items():
            module.training = flag
    return target


def check_onnx(
    path: str | os.PathLike[str], model: nn.Module, inputs: Tensor | tuple[Tensor, ...]
) -> None:
    """Check that the ONNX file computes what the eager `model` computes on `inputs`.

    Raises:
        DeviceError: the file cannot be run, or an output differs by more than fp32 rounding.
    """
    from hwnas.device._onnxruntime import OnnxRuntime

    tensors = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    runnable = OnnxRuntime().load(Path(path), tensors)
    check_agreement(eager_outputs(model, tensors), runnable.outputs(), "onnxruntime")


def _reason(error: BaseException) -> str:
    """The innermost cause, on one line: the exporter wraps it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip() if lines else 'no message'}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's progress prints, warnings and logs; exceptions still pass."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what matters is raised, too
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
