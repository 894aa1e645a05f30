"""The arguments of a forward, from tensors, shapes and plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from hwnas.errors import CostError

Inputs: TypeAlias = (
    "Tensor | Sequence[Tensor | Sequence[int] | Mapping[str, Any]] | Sequence[int] "
    "| Mapping[str, Any]"
)
"""See `static_costs`."""


@dataclass(frozen=True)
class Arguments:
    """What a forward is called with."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors, those inside of lists and dicts too."""
        return [x for x in tree_leaves((self.args, self.kwargs)) if isinstance(x, Tensor)]

    def each(self, change: Callable[[Tensor], Tensor]) -> Arguments:
        """The same with every tensor changed."""
        return Arguments(*tree_map_only(Tensor, change, (self.args, self.kwargs)))


def arguments_of(model: nn.Module, inputs: Inputs) -> Arguments:
    """The arguments that `inputs` stands for.

    Raises:
        CostError: there are none, or they are of another kind.
    """
    floating = (p for p in model.parameters() if p.is_floating_point())
    like = next(floating, torch.empty(0, device="meta"))
    parts: list[Any]
    if isinstance(inputs, Tensor | Mapping) or (_is_shape(inputs) and inputs):
        parts = [inputs]
    elif isinstance(inputs, Sequence):
        parts = list(inputs)
    else:
        raise CostError(f"inputs are tensors and shapes, not {type(inputs).__name__}")
    if not parts:
        raise CostError("macs and flops need an input: give a tensor, or a shape such as (1, 3)")
    named: Mapping[str, Any] = parts.pop() if isinstance(parts[-1], Mapping) else {}
    for part in parts:
        if isinstance(part, Mapping):
            raise CostError("of inputs, only the last is a dict: that of the keyword arguments")
        if not (isinstance(part, Tensor) or _is_shape(part)):
            raise CostError(
                f"inputs are tensors and shapes, not {type(part).__name__}; other values go into "
                "a dict of keyword arguments at the end"
            )
    if bad := [name for name in named if not isinstance(name, str)]:
        raise CostError(f"keyword arguments have names, and {bad[0]!r} is none")
    return Arguments(
        tuple(_example(part, like.dtype) for part in parts),
        {
            name: part if isinstance(part, Sequence) and not part else _example(part, like.dtype)
            for name, part in named.items()
        },
    )


def _is_shape(value: Any) -> bool:
    sequence = isinstance(value, Sequence) and not isinstance(value, str)
    return sequence and all(type(size) is int for size in value)


def _example(value: Any, dtype: torch.dtype) -> Any:
    if not _is_shape(value):
        return value
    if any(size < 0 for size in value):
        raise CostError(f"a shape has no size below 0: {tuple(value)}")
    # `meta`: a shape of a batch of images need not take memory.
    return torch.empty(tuple(value), dtype=dtype, device="meta")
