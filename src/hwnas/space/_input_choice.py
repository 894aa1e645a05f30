"""InputChoice: some of several tensors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hwnas.errors import SpaceError
from hwnas.space._choice import Choice
from hwnas.space._expr import Arch, Expr, Value
from hwnas.space._run import required_run
from hwnas.space._symbolic import Symbolic

Reduction = Literal["sum", "mean", "concat", "none"]

_SUBSETS = 10_000


class ChosenInputs(nn.Module):
    """What an InputChoice is in a built network: picks tensors from a list and reduces them.

    Args:
        chosen: places in the list of tensors.
        reduction: `sum`, `mean`, `concat` (along dimension 1), or `none` (a list).
    """

    def __init__(self, chosen: Sequence[int], reduction: Reduction) -> None:
        super().__init__()
        self.chosen = tuple(chosen)
        self.reduction = reduction

    def forward(self, inputs: Sequence[Tensor]) -> Tensor | list[Tensor]:
        """The chosen tensors, reduced."""
        return reduced([inputs[i] for i in self.chosen], self.reduction)

    def extra_repr(self) -> str:
        """The arguments, for printing."""
        return f"{self.chosen}, reduction={self.reduction!r}"


class InputChoice(Symbolic):
    """Some of several tensors, reduced to one; its forward takes the list of tensors.

    One decision. With `n_chosen=1` its values are the places 0, 1, ... (or the candidates'
    names), else texts such as `0,2` (or `stem,block1`).

    Args:
        candidates: the number of tensors, or their names in order.
        n_chosen: how many are chosen; None for any number from one up.
        reduction: `sum`, `mean`, `concat` (along dimension 1), or `none` (a list).
        label: the decision's name; otherwise the attribute path of the module.

    Raises:
        SpaceError: the numbers make no sense, there are more than 10,000 subsets, or this is
            outside a ModelSpace.
    """

    def __new__(
        cls,
        candidates: int | Sequence[str],
        n_chosen: int | None = 1,
        reduction: Reduction = "sum",
        *,
        label: str | None = None,
    ) -> Any:
        """The chosen inputs under an arch, else the module that stands for the choice."""
        if required_run("InputChoice").symbolic:
            return super().__new__(cls)
        subsets = _subsets(candidates, n_chosen, reduction)
        value: Any = Choice(tuple(subsets), label=label)
        return ChosenInputs(subsets[value], reduction)

    def __init__(
        self,
        candidates: int | Sequence[str],
        n_chosen: int | None = 1,
        reduction: Reduction = "sum",
        *,
        label: str | None = None,
    ) -> None:
        super().__init__()
        self.subsets = _subsets(candidates, n_chosen, reduction)
        self.decision = Choice(tuple(self.subsets), label=label)
        self.reduction = reduction

    def uses(self) -> Iterator[tuple[str, Expr, bool]]:
        """See `Symbolic.uses`."""
        yield "", self.decision, True

    def forward(self, inputs: Sequence[Tensor]) -> Tensor | list[Tensor]:
        """The tensors that the active arch chooses, reduced."""
        chosen = self.subsets[self.decision.evaluate(self.arch)]
        return reduced([inputs[i] for i in chosen], self.reduction)

    def inherit(self, built: nn.Module, arch: Arch) -> Iterator[tuple[nn.Module, nn.Module]]:
        """See `Symbolic.inherit`: there are no weights."""
        return iter(())


def reduced(tensors: list[Tensor], reduction: Reduction) -> Tensor | list[Tensor]:
    """The tensors as one (see `InputChoice`)."""
    if reduction == "none":
        return tensors
    if reduction == "concat":
        return torch.cat(tensors, 1)
    total = reduce(torch.add, tensors)
    return total / len(tensors) if reduction == "mean" else total


def _subsets(
    candidates: int | Sequence[str], n_chosen: int | None, reduction: str
) -> dict[Value, tuple[int, ...]]:
    """The places that each value of the decision stands for."""
    names: Sequence[int | str] = range(candidates) if isinstance(candidates, int) else candidates
    total = len(names)
    if total == 0 or isinstance(candidates, str):
        raise SpaceError(f"InputChoice: {candidates!r} is no number of inputs and no list of names")
    for name in names:
        if not isinstance(name, int) and (not isinstance(name, str) or not name or "," in name):
            raise SpaceError(f"InputChoice: {name!r} is no name (a text without commas)")
    if len(set(names)) < total:
        raise SpaceError(f"InputChoice: a name stands twice among {', '.join(map(str, names))}")
    if n_chosen is not None and not 1 <= n_chosen <= total:
        raise SpaceError(f"InputChoice: cannot choose {n_chosen} of {total}")
    if reduction not in ("sum", "mean", "concat", "none"):
        raise SpaceError(f"InputChoice: reduction '{reduction}' is not sum, mean, concat or none")
    if n_chosen == 1:
        return {name: (i,) for i, name in enumerate(names)}
    ways = 2**total - 1 if n_chosen is None else math.comb(total, n_chosen)
    if ways > _SUBSETS:
        raise SpaceError(f"InputChoice: {ways} subsets of {total} inputs are too many")
    sizes = range(1, total + 1) if n_chosen is None else (n_chosen,)
    return {
        ",".join(str(names[i]) for i in subset): subset
        for size in sizes
        for subset in itertools.combinations(range(total), size)
    }
