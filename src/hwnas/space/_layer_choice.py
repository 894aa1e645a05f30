"""LayerChoice: one of several modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from hwnas.errors import SpaceError
from hwnas.space._choice import Choice
from hwnas.space._expr import Arch, Expr
from hwnas.space._run import required_run
from hwnas.space._symbolic import Symbolic

Factories = Sequence[Callable[[], nn.Module]] | Mapping[str, Callable[[], nn.Module]]


class LayerChoice(Symbolic):
    """One of several modules; in a built network, the chosen module itself.

    For a condition on it, make a `Choice` of the same values (places or keys) with the same label:
    the two are one decision.

    Args:
        candidates: how to make each module: classes, functions, lambdas or partials that take
            no argument, never modules, so that only the chosen one is ever created. For a list
            the decision's values are the places (0, 1, ...), for a dict its keys.
        label: the decision's name; otherwise the attribute path of the module.

    Raises:
        SpaceError: a candidate is a module, or there is none, or this is outside a ModelSpace.
    """

    def __new__(cls, candidates: Factories, *, label: str | None = None) -> Any:
        """The chosen module under an arch, else the module that stands for the choice."""
        run = required_run("LayerChoice")
        if run.symbolic:
            return super().__new__(cls)
        place = run.place()
        factories = checked_factories(candidates, "LayerChoice")
        key: Any = Choice(tuple(factories), label=label)
        with run.branch(place, key):
            return made(factories[key], "LayerChoice", key)

    def __init__(self, candidates: Factories, *, label: str | None = None) -> None:
        super().__init__()
        place = self.run.place()
        factories = checked_factories(candidates, "LayerChoice")
        self.decision = Choice(tuple(factories), label=label)
        self.keys = tuple(factories)
        self.candidates = nn.ModuleList()
        for key, factory in factories.items():
            with self.run.branch(place, key, self.decision == key):
                self.candidates.append(made(factory, "LayerChoice", key))

    def uses(self) -> Iterator[tuple[str, Expr, bool]]:
        """See `Symbolic.uses`."""
        yield "", self.decision, True

    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        """See `Symbolic.parts`."""
        for key, candidate in zip(self.keys, self.candidates, strict=True):
            yield str(key), candidate

    def chosen(self, arch: Arch) -> nn.Module:
        """The candidate that `arch` takes."""
        return self.candidates[self.keys.index(self.decision.evaluate(arch))]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the chosen candidate computes."""
        return self.chosen(self.arch)(*args, **kwargs)

    def inherit(self, built: nn.Module, arch: Arch) -> Iterator[tuple[nn.Module, nn.Module]]:
        """See `Symbolic.inherit`."""
        yield self.chosen(arch), built


def checked_factories(candidates: Any, what: str) -> dict[Any, Callable[..., nn.Module]]:
    """Candidates by the value that chooses them.

    Raises:
        SpaceError: they are no list or dict of factories; the message starts with `what`.
    """
    if isinstance(candidates, Mapping):
        factories = dict(candidates)
        for key in factories:
            if not isinstance(key, str):
                raise SpaceError(f"{what}: the key {key!r} is no text; use a list, or texts")
    elif isinstance(candidates, Sequence) and not isinstance(candidates, str):
        factories = dict(enumerate(candidates))
    else:
        raise SpaceError(f"{what}: the candidates must be a list or a dict, not {candidates!r}")
    if not factories:
        raise SpaceError(f"{what}: there are no candidates")
    for key, factory in factories.items():
        if isinstance(factory, nn.Module):
            name = type(factory).__name__
            raise SpaceError(
                f"{what}: candidate {key!r} is a module that exists already; give a factory, "
                f"so that only the chosen one is made: `lambda: nn.{name}(...)`"
            )
        if not callable(factory):
            raise SpaceError(f"{what}: candidate {key!r} is no factory but {factory!r}")
    return factories


def made(factory: Callable[..., nn.Module], what: str, key: object, *args: object) -> nn.Module:
    """What `factory(*args)` makes, checked to be a module."""
    module = factory(*args)
    if not isinstance(module, nn.Module):
        raise SpaceError(f"{what}: candidate {key!r} made {module!r}, which is no nn.Module")
    return module
