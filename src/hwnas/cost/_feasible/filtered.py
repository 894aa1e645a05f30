"""FilteredSet: the archs that pass filters on any costs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._feasible.feasible_set import FeasibleSet
from hwnas.cost._feasible.limits import Distribution
from hwnas.cost._filter import RangeFilter
from hwnas.cost._tables.table import CostTable
from hwnas.cost._tables.tabular import Tabular
from hwnas.errors import CostError

if TYPE_CHECKING:
    from hwnas.space import Arch, SearchSpace

_TRIES = 2000
_BATCH = 256


class FilteredSet:
    """The archs of a space that pass all of some filters.

    Filters on costs made of tables hold by construction: archs are drawn inside them. The others
    are asked about each arch that is drawn, and what they refuse is drawn again, so that draws
    follow the distribution exactly here too, at the price of the refused ones.

    Attributes:
        feasible: the archs that pass the filters on tables.
        asked: the other filters.

    Raises:
        CostError: a filter's cost belongs to another space.
    """

    def __init__(self, space: SearchSpace, filters: Iterable[RangeFilter] = ()) -> None:
        given = tuple(filters)
        for filter_ in given:
            if filter_.cost.space.fingerprint != space.fingerprint:
                raise CostError(f"the cost '{filter_.cost.name}' belongs to another space")
        sure = [f for f in given if isinstance(f.cost, Tabular)]
        self.space = space
        try:
            self.feasible = FeasibleSet(space, _limits(sure))
        except CostError:  # A lower limit on a maximum that has a part of many decisions.
            sure = [f for f in sure if isinstance(f.cost, CostTable) or f.min == -math.inf]
            self.feasible = FeasibleSet(space, _limits(sure))
        self.asked = tuple(f for f in given if f not in sure)
        self._drawn = self._kept = 0

    @property
    def acceptance(self) -> float | None:
        """The share of archs drawn that the asked filters let through; None before any."""
        return self._kept / self._drawn if self._drawn else None

    def draw_encoded(
        self, n: int, rng: np.random.Generator, distribution: Distribution = "decisions"
    ) -> NDArray[np.float64]:
        """`n` archs of the set as rows of `space.encode`, independent (but see `FeasibleSet`).

        Raises:
            CostError: the set is empty, or none of 2000 archs in a row passed.
        """
        if not self.asked:
            return self.feasible.draw_encoded(n, rng, distribution)
        kept = [np.zeros((0, len(self.space.decisions)))]
        found = refused = 0
        while found < n:
            rows = self.feasible.draw_encoded(_BATCH, rng, distribution)
            passing = rows[self._let_through(rows)]
            self._drawn += len(rows)
            self._kept += len(passing)
            refused = 0 if len(passing) else refused + len(rows)
            if refused >= _TRIES:
                raise CostError(f"none of {refused} archs in a row passes {self}")
            kept.append(passing[: n - found])
            found += len(kept[-1])
        return np.concatenate(kept)

    def nearest(self, rng: np.random.Generator) -> tuple[float, Arch]:
        """The smallest sum of the fractions by which limits are broken, and an arch that has it.

        Of the filters on tables see `FeasibleSet.least_violation`; of those asked, the best of
        some random archs that pass the former.
        """
        worst, arch = self.feasible.least_violation()
        if worst > 0 or not self.asked:
            return worst, arch
        rows = self.feasible.draw_encoded(_BATCH, rng)
        broken = np.zeros(len(rows))
        for filter_ in self.asked:
            values = filter_.cost.evaluate(rows)
            for _, op, limit in filter_.limits:
                excess = (values - limit) / (abs(limit) or 1.0)
                broken += np.maximum(0.0, excess if op == "<=" else -excess)
        best = int(broken.argmin())
        return float(broken[best]), self.space.decode(rows[best : best + 1])[0]

    def keeps(self, encoded: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which archs, encoded by `space.encode`, are in the set: (n, decisions) -> (n,)."""
        inside = self.feasible.keeps(encoded)
        inside[inside] = self._let_through(encoded[inside])
        return inside

    def _let_through(self, rows: NDArray[np.float64]) -> NDArray[np.bool_]:
        inside = np.ones(len(rows), bool)
        for filter_ in self.asked:
            inside[inside] = filter_.keeps(rows[inside])
        return inside

    def __str__(self) -> str:
        asked = [f"{cost.name} {op} {limit:g}" for f in self.asked for cost, op, limit in f.limits]
        return " and ".join([*([str(self.feasible)] if self.feasible.limits else []), *asked])


def _limits(filters: Iterable[RangeFilter]) -> list[Any]:
    return [limit for filter_ in filters for limit in filter_.limits]
