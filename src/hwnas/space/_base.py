"""The contract of every search space."""

from __future__ import annotations

import difflib
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hwnas.errors import ArchError, SpaceError
from hwnas.space import _graph
from hwnas.space._decision import Decision
from hwnas.space._expr import Arch, Value


class SearchSpace(ABC):
    """A finite set of archs, and the network of each.

    An *arch* is a plain dict, label -> chosen value (int, float, str or bool). It is *canonical*
    when it holds exactly the decisions that are taken: a decision under a condition that does
    not hold has no entry. All methods return canonical archs.

    A member gives `_decide`, `_build` and `code_hash`. What they must keep to:

    - Conditions only look back: `decisions` is in an order (the canonical one of
      `_graph.ordered`) in which each condition names earlier decisions only.
    - A space does not change once it is made, and two spaces with equal decisions have equal
      fingerprints, in whatever process, on whatever platform, in whatever order of creation.
    - `_build` returns a fresh network at each call, creates only the parts that the arch has,
      and leaves no state behind, also when it fails.
    - All methods may be called from several threads; randomness comes only from the generator
      that is passed in. Building draws initial weights from torch's generator.
    - Errors: `SpaceError` where the space is wrong, its subclass `ArchError` where an arch does
      not belong to it; the message names the decision.

    Two distributions have names: `decisions` (each decision that is taken is uniform; `sample`)
    and `archs` (uniform over the canonical archs).
    """

    @abstractmethod
    def _decide(self) -> Sequence[Decision]:
        """The decisions, in any order; called once."""

    @abstractmethod
    def _build(self, arch: Arch) -> nn.Module:
        """The network of a valid arch."""

    @property
    @abstractmethod
    def code_hash(self) -> str:
        """SHA-256 (hexadecimal) of the source of the code that builds the network.

        See `hwnas.space.code_hash` for what is covered.
        """

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """All decisions, each after those that its condition names.

        The order rests on labels and conditions alone, like the fingerprint.
        """
        return _graph.ordered(self._decide())

    def decision(self, label: str) -> Decision:
        """The decision with that label.

        Raises:
            ArchError: there is none.
        """
        try:
            return self._by_label[label]
        except KeyError:
            close = difflib.get_close_matches(str(label), self._by_label, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise ArchError(f"the space has no decision '{label}'{hint}") from None

    def walk(self, choose: Callable[[Decision], Value]) -> Arch:
        """Visit the decisions in order, ask `choose` for those that are taken.

        Raises:
            ArchError: `choose` returned something that is not one of the choices.
        """
        arch: Arch = {}
        for decision in self.decisions:
            if decision.is_active(arch):
                value = choose(decision)
                decision.index(value)
                arch[decision.label] = value
        return arch

    def size(self) -> int:
        """The number of canonical archs, exact, however large."""
        return self._size

    def enumerate(self) -> Iterator[Arch]:
        """All canonical archs, each once, in the order of decisions and choices."""
        return _graph.archs(self.decisions)

    def sample(self, rng: np.random.Generator) -> Arch:
        """A random arch of the distribution `decisions`: each decision taken is uniform."""
        # One draw per decision, taken or not, so that one call serves for all.
        draws = dict(zip(self._by_label, rng.random(len(self.decisions)), strict=True))
        return self.walk(lambda d: d.choices[int(draws[d.label] * len(d.choices))])

    def default(self) -> Arch:
        """The arch that takes the first choice everywhere."""
        return self.walk(lambda decision: decision.choices[0])

    def canonical(self, arch: Mapping[str, Value]) -> Arch:
        """`arch` without the decisions that are not taken.

        Raises:
            ArchError: an unknown label, a missing one, or a value that is no choice.
        """
        for label, value in arch.items():
            self.decision(label).index(value)
        return self.walk(lambda decision: _value_of(arch, decision))

    def validate(self, arch: Mapping[str, Value]) -> None:
        """Check that `arch` is a canonical arch of this space.

        Raises:
            ArchError: an unknown label, a missing one, one of a decision that is not taken, or
                a value that is not one of the choices (1, 1.0 and True are told apart).
        """
        canonical = self.canonical(arch)
        for label in arch:
            if label not in canonical:
                raise ArchError(
                    f"'{label}' is not taken in this arch (only when "
                    f"{self.decision(label).condition}); leave it out, or use canonical(arch)"
                )

    def mutate(self, arch: Mapping[str, Value], rng: np.random.Generator) -> Arch:
        """A copy with one decision redrawn to another value.

        The decision is uniform among those taken that have other choices, its value uniform
        among the others. Decisions that become taken are drawn uniformly.

        Raises:
            ArchError: `arch` does not belong to the space.
            SpaceError: no decision has a second choice.
        """
        self.validate(arch)
        open_ = [d for d in self.decisions if d.label in arch and len(d.choices) > 1]
        if not open_:
            raise SpaceError("nothing to mutate: no decision of this arch has a second choice")
        chosen = open_[int(rng.integers(len(open_)))]
        others = [value for value in chosen.choices if value != arch[chosen.label]]
        changed = {**arch, chosen.label: others[int(rng.integers(len(others)))]}
        return self.walk(
            lambda d: (
                changed[d.label]
                if d.label in changed
                else d.choices[int(rng.integers(len(d.choices)))]
            )
        )

    def neighbours(self, arch: Mapping[str, Value]) -> list[Arch]:
        """All archs one decision away; decisions that become taken take their first choice.

        Raises:
            ArchError: `arch` does not belong to the space.
        """
        self.validate(arch)
        changes = (
            {**arch, decision.label: value}
            for decision in self.decisions
            if decision.label in arch
            for value in decision.choices
            if value != arch[decision.label]
        )
        return [
            self.walk(lambda d, changed=changed: changed.get(d.label, d.choices[0]))  # type: ignore[misc]
            for changed in changes
        ]

    def encode(self, archs: Sequence[Mapping[str, Value]]) -> NDArray[np.float64]:
        """Archs as numbers, shape (len(archs), len(decisions)).

        Column i belongs to `decisions[i]` and holds the index of the chosen value, -1 where the
        decision is not taken. Whether the right decisions are taken is not checked.

        Raises:
            ArchError: an unknown label, or a value that is not one of the choices.
        """
        table = np.full((len(archs), len(self.decisions)), -1.0)
        columns = self._columns
        for row, arch in zip(table, archs, strict=True):
            for label, value in arch.items():
                decision = self.decision(label)
                row[columns[label]] = decision.index(value)
        return table

    def decode(self, table: NDArray[np.float64]) -> list[Arch]:
        """The archs of which `table` is the encoding.

        Raises:
            ArchError: the shape is wrong, or a row encodes no canonical arch.
        """
        table = np.asarray(table)
        if table.ndim != 2 or table.shape[1] != len(self.decisions):
            raise ArchError(f"an encoding has shape (n, {len(self.decisions)}), not {table.shape}")
        archs = []
        for number, row in enumerate(table):
            arch: Arch = {}
            for decision, place in zip(self.decisions, row.tolist(), strict=True):
                if place not in range(-1, len(decision.choices)):
                    raise ArchError(f"row {number}: '{decision.label}' has no choice {place}")
                if place >= 0:
                    arch[decision.label] = decision.choices[int(place)]
            self.validate(arch)
            archs.append(arch)
        return archs

    def build(self, arch: Mapping[str, Value]) -> nn.Module:
        """The network of `arch`: fresh, with only the chosen parts.

        Raises:
            ArchError: `arch` does not belong to the space.
        """
        self.validate(arch)
        return self._build(dict(arch))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of the decisions: labels, choices with types, conditions."""
        content = [
            {
                "label": decision.label,
                "choices": [[type(value).__name__, value] for value in decision.choices],
                "condition": str(decision.condition),
            }
            for decision in sorted(self.decisions, key=lambda decision: decision.label)
        ]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def _by_label(self) -> dict[str, Decision]:
        return {decision.label: decision for decision in self.decisions}

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {decision.label: i for i, decision in enumerate(self.decisions)}

    @cached_property
    def _size(self) -> int:
        return _graph.count(self.decisions)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.decisions)} decisions)"


def _value_of(arch: Mapping[str, Value], decision: Decision) -> Value:
    if decision.label not in arch:
        raise ArchError(f"the arch has no value for '{decision.label}'")
    return arch[decision.label]
