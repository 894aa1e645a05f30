"""Repeat: a sequence of blocks whose length is a choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from hwnas.errors import SpaceError
from hwnas.space._choice import Choice, possible_values
from hwnas.space._expr import Arch, Expr
from hwnas.space._layer_choice import made
from hwnas.space._run import Run, current_run, required_run
from hwnas.space._symbolic import Symbolic


class Repeat(Symbolic):
    """Blocks 0 .. depth-1 in sequence; in a built network a plain `nn.Sequential`.

    The choices inside block i are taken only where depth > i. The position is part of the
    labels made from attribute paths: `stage.2.conv.kernel_size`.

    Args:
        factory: makes block i, called as `factory(i)`.
        depth: the number of blocks: an int, a choice or formula of ints, or `(low, high)` for a
            decision over low, low + 1, ..., high.
        label: for `(low, high)`, the name of that decision; otherwise it is `<path>.depth`.

    Raises:
        SpaceError: a depth is negative or no int, or `label` is given for a depth that is no
            `(low, high)`, or the depth is a choice outside a ModelSpace.
    """

    def __new__(
        cls,
        factory: Callable[[int], nn.Module],
        depth: int | Expr | tuple[int, int],
        *,
        label: str | None = None,
    ) -> Any:
        """The chosen blocks if the depth is known, else the module that stands for the choice."""
        run = current_run()
        symbolic = isinstance(depth, Expr | tuple)
        if symbolic:
            run = required_run("Repeat with a depth that is a choice")
            if run.symbolic:
                return super().__new__(cls)
        place = run.place() if run else ()
        blocks = range(_checked(_depth(depth, label)))
        kind = Blocks if run and run.symbolic else nn.Sequential
        return kind(*(_block(run, place, factory, i) for i in blocks))

    def __init__(
        self,
        factory: Callable[[int], nn.Module],
        depth: int | Expr | tuple[int, int],
        *,
        label: str | None = None,
    ) -> None:
        super().__init__()
        place = self.run.place()
        self._own = isinstance(depth, tuple)
        self.depth: Expr = _depth(depth, label)
        depths = [_checked(value) for value in possible_values(self.depth)]
        self.blocks = nn.ModuleList()
        for i in range(max(depths)):
            condition = self.depth > i if i >= min(depths) else True
            self.blocks.append(_block(self.run, place, factory, i, condition))

    def uses(self) -> Iterator[tuple[str, Expr, bool]]:
        """See `Symbolic.uses`."""
        yield ".depth", self.depth, self._own

    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        """See `Symbolic.parts`."""
        return self.blocks.named_children()

    def forward(self, x: Any) -> Any:
        """`x` through the blocks that the active arch has."""
        for block in self.blocks[: self.depth.evaluate(self.arch)]:
            x = block(x)
        return x

    def inherit(self, built: nn.Module, arch: Arch) -> Iterator[tuple[nn.Module, nn.Module]]:
        """See `Symbolic.inherit`."""
        yield from zip(self.blocks, built.children(), strict=False)


class Blocks(nn.Sequential):
    """A Repeat of fixed depth in a template or supernet: its positions serve as names."""


def _depth(depth: Any, label: str | None) -> Any:
    if isinstance(depth, tuple):
        if len(depth) != 2 or not all(type(end) is int for end in depth) or depth[0] > depth[1]:
            raise SpaceError(f"Repeat: the depth {depth} is not (low, high) with low <= high")
        return Choice(range(depth[0], depth[1] + 1), label=label)
    if label is not None:
        raise SpaceError(f"Repeat: label '{label}' belongs to depth=(low, high) or to the Choice")
    return depth


def _checked(depth: object) -> int:
    if type(depth) is not int or depth < 0:
        raise SpaceError(f"Repeat: the depth {depth!r} is no int from 0 up")
    return depth


def _block(
    run: Run | None,
    place: tuple[object, ...],
    factory: Callable[[int], nn.Module],
    i: int,
    condition: Expr | bool = True,
) -> nn.Module:
    if run is None:
        return made(factory, "Repeat", i, i)
    with run.branch(place, i, condition):
        return made(factory, "Repeat", i, i)
