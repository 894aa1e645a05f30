"""Example inputs, in the ways in which they may be given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from hwnas.device._base import Inputs, Model
from hwnas.errors import DeviceError


def per_model(
    inputs: Tensor | tuple[Tensor, ...] | list[tuple[Tensor, ...]], models: Sequence[Model]
) -> list[Inputs]:
    """The inputs of `models`, as `Device.measure_each` takes them; one tuple for each.

    Raises:
        DeviceError: they are something else, or `models` is a single one.
    """
    if isinstance(models, (str, Path, nn.Module)):
        raise DeviceError("what is measured is a list of models: [model]")
    count = len(models)
    if isinstance(inputs, Tensor):
        inputs = (inputs,)
    each = inputs if isinstance(inputs, list) else [inputs] * count
    if len(each) != count:
        raise DeviceError(f"{len(each)} tuples of inputs for {count} models; give one per model")
    for one in each:
        if not (isinstance(one, tuple) and one and all(isinstance(x, Tensor) for x in one)):
            raise DeviceError("inputs are a tensor, a tuple of tensors, or a list of such tuples")
    return each
