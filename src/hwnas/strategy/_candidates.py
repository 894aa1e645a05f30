"""The archs that a search may propose."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hwnas.errors import ArchError, CostError, SpaceError

if TYPE_CHECKING:
    import numpy as np

    from hwnas.cost import Count, RangeFilter
    from hwnas.space import Arch, SearchSpace, Value

_ENUMERABLE = 10_000
_RANKED = 2_000
"""As many can be listed without passing over the whole space, which takes longer for each."""
_BATCH = 16
_DRAWS = 512
_STEPS = 512
_MUTATIONS = 32


class Candidates:
    """The archs of a space that pass some filters; all of them where there is none.

    Filters on sums of tables hold by construction (`FeasibleSet`): archs are drawn, and mutated,
    inside them. Filters on any other cost are asked about each arch: what they refuse is drawn
    again, and where nearly all is refused, mutated towards the range.

    Args:
        space: the space.
        filters: all have to hold; two on one cost, or with one end each, are fine.

    Raises:
        CostError: a filter's cost belongs to another space.
    """

    def __init__(self, space: SearchSpace, filters: Iterable[RangeFilter] = ()) -> None:
        from hwnas.cost import FilteredSet

        self.space = space
        self.filters = tuple(filters)
        inside = FilteredSet(space, self.filters) if self.filters else None
        self._set = inside.feasible if inside is not None and inside.feasible.limits else None
        self.asked = inside.asked if inside is not None else ()
        """The filters that do not hold by construction."""

    def holds(self, arch: Mapping[str, Value]) -> bool:
        """Whether a canonical arch passes. One whose cost cannot be told does not."""
        return (self._set is None or self._set.holds(arch)) and self._passes(arch)

    def sample(self, rng: np.random.Generator) -> Arch:
        """A random arch of the distribution `decisions`, given that it passes.

        Where asked filters refuse some 500 in a row it is found by descent, and follows no stated
        distribution.

        Raises:
            CostError: no arch passes, or none was found.
        """
        if not self.asked:
            return self._draw(1, rng)[0]
        nearest: tuple[float, Arch] | None = None
        for _ in range(_DRAWS // _BATCH):
            for arch in self._draw(_BATCH, rng):
                worst = self._violation(arch)
                if worst == 0:
                    return arch
                if nearest is None or worst < nearest[0]:
                    nearest = worst, arch
        assert nearest is not None
        worst, arch = self._descended(*nearest, rng)
        if worst > 0:
            raise CostError(f"no arch was found that keeps {self}")
        return arch

    def mutate(self, arch: Mapping[str, Value], rng: np.random.Generator) -> Arch:
        """An arch that passes and differs from `arch` in one decision; where none is found, a
        random one that passes.

        Raises:
            ArchError: `arch` does not belong to the space.
            CostError: no arch passes, or none was found.
        """
        for _ in range(_MUTATIONS if self.asked else 1):
            child = self._child(arch, rng)
            if child is None:
                break
            if self._passes(child):
                return child
        return self.sample(rng)

    def nearest(self, rng: np.random.Generator) -> tuple[float, Arch]:
        """The smallest sum of the fractions by which limits are broken, and an arch that has it.

        Zero if and only if an arch passes, as far as that is known. Exact for one limit on a
        table, else the best that was found; see `FeasibleSet.least_violation`.

        Raises:
            CostError: an arch near the limits could not be found.
        """
        if self._set is not None:
            try:
                worst, arch = self._set.least_violation()
            except CostError:  # The decisions hang together too closely; draws may find one.
                worst = 0.0
            if worst > 0:
                return worst, arch
        try:
            return 0.0, self.sample(rng)
        except CostError:
            if not self.asked:
                raise
            drawn = [(self._violation(a), i, a) for i, a in enumerate(self._draw(_BATCH, rng))]
            worst, _, arch = min(drawn)
            return self._descended(worst, arch, rng)

    @cached_property
    def count(self) -> Count | None:
        """How many archs pass; None where that is not known."""
        from hwnas.cost import Count

        if self.asked or (self._set is not None and self._set.method != "dynamic program"):
            return None
        if self._set is None:
            return Count(self.space.size(), self.space.size())
        return self._set.count()

    def enumerable(self) -> list[Arch] | None:
        """A list that holds every arch that passes, where there is a short one; None else."""
        if self.space.size() <= _ENUMERABLE:
            return list(self.space.enumerate())
        if self._set is None or self.count is None or self.count.upper > _RANKED:
            return None
        from hwnas.cost import CostTable

        equal = CostTable.of("equal", self.space, [])
        return [arch for _, arch in self._set.k_best(equal, self.count.upper)]

    def __str__(self) -> str:
        return " and ".join(
            f"{cost.name} {op} {limit:g}" for cost, op, limit in _limits(self.filters)
        )

    def _draw(self, n: int, rng: np.random.Generator) -> list[Arch]:
        if self._set is None:
            return [self.space.sample(rng) for _ in range(n)]
        return self._set.draw(n, rng)

    def _child(self, arch: Mapping[str, Value], rng: np.random.Generator) -> Arch | None:
        try:
            return (self._set or self.space).mutate(arch, rng)
        except ArchError:
            raise
        except (CostError, SpaceError):
            return None  # No arch, or none inside the tables' limits, is one decision away.

    def _passes(self, arch: Mapping[str, Value]) -> bool:
        try:
            return all(filter_(arch) for filter_ in self.asked)
        except CostError:
            return False

    def _violation(self, arch: Mapping[str, Value]) -> float:
        """The sum of the fractions by which asked filters are broken."""
        total = 0.0
        for cost, op, limit in _limits(self.asked):
            try:
                excess = (cost(arch) - limit) / (abs(limit) or 1.0)
            except CostError:
                return math.inf
            total += max(0.0, excess if op == "<=" else -excess)
        return total

    def _descended(self, worst: float, arch: Arch, rng: np.random.Generator) -> tuple[float, Arch]:
        """Mutated as long as that lowers the violation of the asked filters."""
        for _ in range(_STEPS):
            if worst == 0:
                break
            child = self._child(arch, rng)
            if child is not None and (value := self._violation(child)) <= worst:
                worst, arch = value, child
        return worst, arch


def _limits(filters: Iterable[RangeFilter]) -> list[Any]:
    return [limit for filter_ in filters for limit in filter_.limits]
