"""Labels from attribute paths, for the choices that were given none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn

from hwnas.errors import SpaceError
from hwnas.space._choice import Choice
from hwnas.space._elastic import foreign, shape_of
from hwnas.space._expr import MAY_BE_OPEN, Expr, exprs
from hwnas.space._modes import Site
from hwnas.space._repeat import Blocks
from hwnas.space._symbolic import Symbolic


@dataclass(frozen=True)
class _Use:
    """A place where a choice is held, and the container whose positions its path rests on."""

    path: str
    container: str | None


def name_choices(model: nn.Module, sites: Iterable[Site]) -> None:
    """Give every choice in `sites` that has no label the path at which `model` holds it.

    The module that holds the choice itself comes first: `self.width = Choice(...)` is `width`,
    `self.op = LayerChoice(...)` is `op`. Else it is its only use as an argument of a layer:
    `conv.out_channels`.

    Raises:
        SpaceError: a choice is held nowhere or at several places, its path rests on a position
            in a Sequential or ModuleList, or the path is another choice's label; or the model
            holds a choice that is not in `sites`.
    """
    choices = [site.choice for site in sites]
    known = set(map(id, choices))
    holders: dict[int, set[_Use]] = {}
    arguments: dict[int, set[_Use]] = {}
    for use, expr, own in _uses(model, "", None, ()):
        for leaf in expr.leaves():
            if id(leaf) not in known:
                raise foreign(leaf, use.path)
            (holders if own and leaf is expr else arguments).setdefault(id(leaf), set()).add(use)
    taken = {choice.label for choice in choices if choice.is_labelled}
    for choice in (choice for choice in choices if not choice.is_labelled):
        places = holders.get(id(choice)) or arguments.get(id(choice), set())
        path = _only(choice, places)
        if path in taken:
            raise SpaceError(
                f"{choice.describe()} would be called '{path}' by its place, which is the label "
                "of another choice: give it label=..."
            )
        taken.add(path)
        choice.name(path)


def _only(choice: Choice, places: set[_Use]) -> str:
    if len(places) != 1:
        held = ", ".join(f"'{use.path}'" for use in sorted(places, key=lambda use: use.path))
        reason = f"is used at {held}" if places else "is held by no module of the network"
        raise SpaceError(f"{choice.describe()} {reason}: give it label=...")
    use = next(iter(places))
    if use.container is not None or not use.path:
        where = f"a position in {use.container}" if use.container else "the network as a whole"
        raise SpaceError(
            f"{choice.describe()} at '{use.path}' has no lasting name, as its place is {where}: "
            "give it label=..."
        )
    return use.path


_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
"""Attributes that torch gives each module: its dictionaries of parts and hooks."""


def _uses(
    module: nn.Module, path: str, container: str | None, above: tuple[nn.Module, ...]
) -> Iterator[tuple[_Use, Expr, bool]]:
    """The formulas that `module` and its parts hold; the flag tells those that are its own."""
    if any(module is other for other in above):
        return
    # Not named_children(), which passes over a module that stands there twice.
    parts: Iterator[tuple[str, nn.Module]]
    parts = ((name, part) for name, part in module._modules.items() if part is not None)
    if isinstance(module, Symbolic):
        for name, expr, own in module.uses():
            yield _Use((path + name).lstrip("./"), container), expr, own
        parts = module.parts()
    else:
        own_values = [
            (name, value)
            for name, value in vars(module).items()
            if isinstance(value, MAY_BE_OPEN) and name not in _OF_EVERY_MODULE
        ]
        for name, value in [*own_values, *_shapes(module)]:
            for expr in exprs(value):
                yield _Use(_join(path, name), container), expr, expr is value
    positional = isinstance(module, nn.Sequential | nn.ModuleList) and not isinstance(
        module, Blocks
    )
    for name, part in parts:
        inner = container
        if positional and name.isdigit():
            inner = f"the {type(module).__name__} '{path}'" if path else "a Sequential"
        yield from _uses(part, _join(path, name), inner, (*above, module))


def _shapes(module: nn.Module) -> Iterator[tuple[str, object]]:
    for name, parameter in module._parameters.items():
        if (shape := shape_of(parameter)) is not None:
            yield name, list(shape)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
