"""Does a runtime compute what the eager model computes?"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from hwnas.errors import ModelFault

# Largest difference, relative to the largest output, that rounding explains.
_TOLERANCE = {"fp32": 1e-3, "fp16": 3e-2, "bf16": 1e-1, "int8": 0.25, "int8-dynamic": 0.25}


def flatten(outputs: object) -> Iterator[Tensor]:
    """The tensors of a forward's result, depth first, in order; other values are skipped."""
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, dict):
        for value in outputs.values():
            yield from flatten(value)
    elif isinstance(outputs, (list, tuple)):
        for value in outputs:
            yield from flatten(value)


def eager_outputs(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """What `model` computes on the CPU in evaluation mode; `model` itself is not touched."""
    twin = copy.deepcopy(model).cpu().eval()
    with torch.inference_mode():
        return [tensor.clone() for tensor in flatten(twin(*(x.cpu() for x in inputs)))]


def check_finite(outputs: Sequence[Tensor], runtime: str) -> None:
    """Raise ModelFault if an output holds NaN: what was computed on it is not the model."""
    for index, tensor in enumerate(outputs):
        if tensor.isnan().any():
            raise ModelFault(
                f"runtime '{runtime}': output {index} holds NaN for these inputs", "not finite"
            )


def check_agreement(
    expected: Sequence[Tensor], actual: Sequence[Tensor], runtime: str, rounding: str = "fp32"
) -> None:
    """Raise ModelFault unless `actual` equals `expected` up to the rounding of a precision."""
    if len(expected) != len(actual):
        raise ModelFault(
            f"runtime '{runtime}' returns {len(actual)} outputs, the eager model {len(expected)}",
            "disagreement",
        )
    tolerance = _TOLERANCE[rounding]
    for index, (want, have) in enumerate(zip(expected, actual, strict=True)):
        if want.shape != have.shape:
            raise ModelFault(
                f"runtime '{runtime}': output {index} has shape {tuple(have.shape)}, "
                f"the eager model's has {tuple(want.shape)}",
                "disagreement",
            )
        if want.numel() == 0:
            continue
        want, have = want.double(), have.double()
        finite = want[want.isfinite()]
        scale = max(float(finite.abs().max()) if finite.numel() else 0.0, 1e-6)
        if not torch.allclose(want, have, rtol=0, atol=tolerance * scale, equal_nan=True):
            gap = float((want - have).abs().max())
            raise ModelFault(
                f"runtime '{runtime}' disagrees with the eager model: output {index} differs by "
                f"up to {gap:.3g} where the largest value is {scale:.3g}; is the forward random?",
                "disagreement",
            )
