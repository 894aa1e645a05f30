"""Which module of a built network stands where a module of the template stood."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from hwnas.errors import SpaceError
from hwnas.space._elastic import Elastic
from hwnas.space._expr import Arch
from hwnas.space._symbolic import Symbolic


def counterparts(
    template: nn.Module, built: nn.Module, arch: Arch
) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Pairs (module of `template`, module of `built`), for all that the network of `arch` has.

    Raises:
        SpaceError: the two do not have the same structure.
    """
    todo = [(template, built)]
    seen: dict[int, nn.Module] = {}  # Holds them, so that ids stay their own.
    while todo:
        source, target = todo.pop()
        if id(source) in seen:
            continue
        seen[id(source)] = source
        yield source, target
        if isinstance(source, Symbolic):
            if not isinstance(source, Elastic):
                todo.extend(source.inherit(target, arch))
            continue
        for name, part in source._modules.items():
            other = target._modules.get(name)
            if part is not None and other is None:
                raise SpaceError(f"the built {type(target).__name__} has no module '{name}'")
            if part is not None and other is not None:
                todo.append((part, other))
