"""The three ways to run the constructor of a ModelSpace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import nn

from hwnas.errors import SpaceError
from hwnas.space._choice import Choice, checked_values
from hwnas.space._copy import copied_layer, is_simple
from hwnas.space._decision import Decision
from hwnas.space._expr import Arch, Expr, Value, conjunction
from hwnas.space._run import Place, Run

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Site:
    """A call of `Choice` in the constructor: what it gave, and when it is reached."""

    choice: Choice
    condition: Expr | bool


class TemplateRun(Run):
    """Every candidate is created on the meta device; choices stay open and are recorded."""

    symbolic = True

    def __init__(self) -> None:
        super().__init__()
        self.sites: dict[Place, Site] = {}
        self._layers: dict[tuple[type[nn.Module], str], nn.Module | None] = {}

    def plain(self, kind: type[M], arguments: dict[str, Any]) -> M:
        """`kind(**arguments)`, from a copy of one made before: torch takes long to make a layer."""
        key = kind, repr(arguments)
        known: Any = self._layers.get(key)
        if known is not None:
            copy: M = copied_layer(known)
            return copy
        layer = kind(**arguments)
        self._layers.setdefault(key, copied_layer(layer) if is_simple(layer) else None)
        return layer

    def choose(self, values: Sequence[Value], label: str | None, when: Expr | bool) -> Choice:
        """A formula; the call is recorded."""
        choice = Choice.symbolic(values, label, when)
        self.adopt(choice)
        return choice

    def adopt(self, choice: Choice) -> None:
        """Record that `choice` is made at the present place."""
        self.sites[self.place()] = Site(choice, conjunction(self.condition, choice.when))


class KnownRun(Run):
    """A run after the template's: each call finds its site."""

    def __init__(self, sites: Mapping[Place, Site]) -> None:
        super().__init__()
        self.sites = sites

    def adopt(self, choice: Choice) -> None:
        """Pass over the place that the template gave to the choice."""
        self.place()

    def site(self, values: Sequence[Value], label: str | None) -> Site:
        """The site of the present call.

        Raises:
            SpaceError: the constructor did not do what it did for the template.
        """
        site = self.sites.get(self.place())
        known = site.choice if site is not None else None
        if (
            site is None
            or known is None
            or list(map(repr, known.values)) != list(map(repr, values))
            or (label is not None and label != known.label)
        ):
            first = "nothing" if known is None else known.describe()
            raise SpaceError(
                f"the constructor now makes Choice {label or ''} of {list(values)}, at first it "
                f"made {first}: it must not depend on chance, on global state or on a chosen "
                "value; use LayerChoice, Repeat or when="
            )
        return site


class SupernetRun(KnownRun):
    """Every candidate is created with real weights; choices stay open and have their labels."""

    symbolic = True

    def __init__(self, sites: Mapping[Place, Site], decisions: tuple[Decision, ...]) -> None:
        super().__init__(sites)
        self.decisions = decisions

    def choose(self, values: Sequence[Value], label: str | None, when: Expr | bool) -> Choice:
        """The template's formula."""
        return self.site(values, label).choice


class BuildRun(KnownRun):
    """Only what the arch has is created; a choice is its value."""

    symbolic = False

    def __init__(self, sites: Mapping[Place, Site], arch: Arch) -> None:
        super().__init__(sites)
        self.arch = arch
        self.reached: set[str] = set()

    def adopt(self, choice: Choice) -> None:
        """Note that the choice is made: arguments always are."""
        super().adopt(choice)
        self.reached.add(choice.label)

    def choose(self, values: Sequence[Value], label: str | None, when: Expr | bool) -> Any:
        """The chosen value; None where the choice's condition does not hold."""
        checked_values(values, "Choice")
        site = self.site(values, label)
        taken = site.condition
        if isinstance(taken, Expr):
            taken = bool(taken.evaluate(self.arch))
        if not taken:
            return None
        self.reached.add(site.choice.label)
        return self.arch[site.choice.label]
