"""MaxTable: a cost as the maximum of sums of small tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Never

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._base import Cost
from hwnas.cost._tables.assembly import Tables, checked, joined
from hwnas.cost._tables.cells import Rows, added
from hwnas.cost._tables.domain import CELLS, Domain, TooLargeError
from hwnas.cost._tables.eliminate import lowest
from hwnas.cost._tables.maxima import essential, most, one_table
from hwnas.cost._tables.table import CostTable
from hwnas.cost._tables.tabular import Tabular, fitting
from hwnas.errors import CostError

if TYPE_CHECKING:
    from torch import Tensor

    from hwnas.cost._feasible.quantile import Quantile
    from hwnas.space import Arch, SearchSpace


class MaxTable(Tabular):
    """A cost that is the largest of several parts, each a sum of tables over few decisions.

    So is the memory that a network needs at its peak: the most over all its moments.

    Args:
        name: the metric.
        space: the space.
        parts: of each the tables: columns of `space.decisions` (ascending) -> values, of that
            shape. Cells that no arch has may be NaN. Parts that are never above the others are
            left out.
        exact: see `Cost`.

    Raises:
        CostError: there is no part, a table has another shape than its decisions, or a cell that
            some arch has is not finite.
    """

    kind = "maximum"

    def __init__(
        self,
        name: str,
        space: SearchSpace,
        parts: Sequence[Mapping[tuple[int, ...], NDArray[np.float64]]],
        *,
        exact: bool = False,
        domain: Domain | None = None,
    ) -> None:
        self.name = name
        self.space = space
        self.exact = exact
        self.domain = Domain(space.decisions) if domain is None else domain
        given = [fitting(self.domain, name, part) for part in parts]
        if not given or not all(given):
            raise CostError(f"the cost '{name}' is a maximum of nothing: a part needs a table")
        for axes, table in ((axes, table) for part in given for axes, table in part.items()):
            if not np.isfinite(table[self.domain.possible(axes)]).all():
                labels = ", ".join(self.domain.decisions[axis].label for axis in axes)
                raise CostError(f"the cost '{name}': the table over ({labels}) is not finite")
        self.parts: tuple[Tables, ...] = tuple(essential(self.domain, given))
        self._rules = checked(self.domain, {(): np.zeros(())})

    def _flat(self) -> Rows:
        return [item for part in (*self.parts, self._rules) for item in part.items()]

    def _parts(self) -> list[Tables]:
        return list(self.parts)

    @cached_property
    def _begins(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(len(part) for part in self.parts)])

    def _combined(self, cells: NDArray[np.float64]) -> float:
        sums = np.add.reduceat(cells, self._begins)
        return float(sums[:-1].max() + sums[-1])

    def _at(self, codes: NDArray[np.int32]) -> NDArray[np.float64]:
        rules = added(self.domain, tuple(self._rules.items()), codes)
        highest = np.full(codes.shape[1], -np.inf)
        for part in self.parts:
            np.maximum(highest, added(self.domain, tuple(part.items()), codes), out=highest)
        highest += rules
        return highest

    def minimum(self) -> tuple[float, Arch]:
        """See `Tabular`."""
        rules = [
            (axes, np.where(np.isnan(rule), np.nan, -np.inf)) for axes, rule in self._rules.items()
        ]
        tables = [
            item for part in self.parts for item in one_table(self.domain, part, CELLS).items()
        ]
        if len(tables) > len(self.parts):
            raise CostError(
                f"no exact minimum of '{self.name}': a part of it is a sum over too many decisions"
            )
        try:
            value, codes = lowest(self.domain, [*tables, *rules], np.maximum)
        except TooLargeError as error:
            raise CostError(f"no exact minimum of '{self.name}': {error}") from error
        return value, self.domain.arch(codes)

    def maximum(self) -> tuple[float, Arch]:
        """See `Tabular`."""
        best: tuple[float, list[int]] = (-np.inf, [])
        for part in sorted(self.parts, key=most, reverse=True):
            if most(part) <= best[0]:
                break
            signed = [(axes, -table) for axes, table in part.items()]
            try:
                value, codes = lowest(self.domain, [*signed, *self._rules.items()])
            except TooLargeError as error:
                raise CostError(f"no exact maximum of '{self.name}': {error}") from error
            best = max(best, (-value, codes), key=lambda found: found[0])
        return best[0], self.domain.arch(best[1])

    def _quantile(self, q: float, distribution: str) -> Quantile | None:
        from hwnas.cost._feasible.quantile import quantile_of_maximum

        return quantile_of_maximum(self.domain, self.parts, q, distribution)

    def expectation(self, probabilities: Mapping[str, Tensor | Sequence[float]]) -> Never:
        """There is none.

        Raises:
            CostError: always.
        """
        raise CostError(
            f"'{self.name}' is a maximum, whose mean has no closed form; "
            "average `evaluate` over draws instead"
        )

    def __add__(self, other: Cost | float) -> MaxTable:
        """The sum with a `CostTable` or a number."""
        if isinstance(other, MaxTable):
            raise CostError(
                f"'{self.name}' and '{other.name}' are maxima, whose sum is neither a sum of "
                "tables nor a maximum of such; limit each by itself"
            )
        if isinstance(other, CostTable):
            if other.space.fingerprint != self.space.fingerprint:
                raise CostError("costs of different spaces cannot be added")
            name, more, exact = (
                f"{self.name}+{other.name}",
                other.tables,
                self.exact and other.exact,
            )
        elif isinstance(other, int | float):
            name, more, exact = self.name, {(): np.array(float(other))}, self.exact
        else:
            return NotImplemented
        exact = self.exact and getattr(other, "exact", True)
        parts = [joined([part, more]) for part in self.parts]
        return MaxTable(name, self.space, parts, exact=exact, domain=self.domain)

    __radd__ = __add__

    def __mul__(self, factor: float) -> MaxTable:
        """The cost times a number from 0 up.

        Raises:
            CostError: the number is negative, which would make it a minimum.
        """
        if not isinstance(factor, int | float):
            return NotImplemented
        if not factor >= 0:
            raise CostError(f"'{self.name}' is a maximum; times {factor} it would be none")
        parts = [{axes: table * factor for axes, table in part.items()} for part in self.parts]
        return MaxTable(self.name, self.space, parts, exact=self.exact, domain=self.domain)

    __rmul__ = __mul__

    def renamed(self, name: str) -> MaxTable:
        """See `Tabular`."""
        return MaxTable(name, self.space, self.parts, exact=self.exact, domain=self.domain)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]
