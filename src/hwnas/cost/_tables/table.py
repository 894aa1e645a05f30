"""CostTable: a cost as a sum of small tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._base import Cost, checked_number
from hwnas.cost._tables.assembly import Tables, checked, joined
from hwnas.cost._tables.cells import Rows, added
from hwnas.cost._tables.domain import Domain, TooLargeError
from hwnas.cost._tables.tabular import Tabular, fitting
from hwnas.cost._tables.varying import Axes
from hwnas.errors import CostError

if TYPE_CHECKING:
    from torch import Tensor

    from hwnas.cost._feasible.quantile import Histogram, Quantile
    from hwnas.cost._tables.expectation import Products
    from hwnas.space import Arch, SearchSpace


class CostTable(Tabular):
    """A cost that is a sum of tables, each over the few decisions that a part depends on.

    The value of an arch is the sum of one cell of each table, so that all the arithmetic on it is
    exact. An axis of a table belongs to one decision, with a place for each choice and, if the
    decision has a condition, a last one for "not taken".

    Args:
        name: the metric.
        space: the space.
        tables: columns of `space.decisions` (ascending) -> values, of that shape.
        exact, relative_std: see `Cost`.

    Raises:
        CostError: a table has another shape than its decisions.
    """

    kind = "sum"

    def __init__(
        self,
        name: str,
        space: SearchSpace,
        tables: Mapping[Axes, NDArray[np.float64]],
        *,
        exact: bool = False,
        relative_std: float = 0.0,
        domain: Domain | None = None,
    ) -> None:
        if not (np.isfinite(relative_std) and relative_std >= 0):
            raise CostError(f"the standard deviation of '{name}' is {relative_std}")
        self.name = name
        self.space = space
        self.exact = exact
        self.relative_std = relative_std
        self.domain = Domain(space.decisions) if domain is None else domain
        given = fitting(self.domain, name, tables) or {(): np.zeros(())}
        self.tables: Tables = checked(self.domain, given)

    @classmethod
    def of(
        cls,
        name: str,
        space: SearchSpace,
        parts: Sequence[tuple[Sequence[str], Callable[[Arch], float]]],
        *,
        exact: bool = False,
    ) -> CostTable:
        """A cost of your own that is a sum of functions of few decisions each.

        Args:
            parts: (labels, function); the function is called once for every possible choice of
                these decisions, with those of them that are taken.

        Raises:
            CostError: a label is not in the space, a value is no finite number, or a part names
                so many decisions that its table would be too large.
        """
        domain = Domain(space.decisions)
        tables: Tables = {(): np.zeros(())}
        for labels, function in parts:
            if unknown := [label for label in labels if label not in domain.column]:
                raise CostError(f"the cost '{name}' names '{unknown[0]}', which is no decision")
            axes = tuple(sorted({domain.column[label] for label in labels}))
            try:
                table = np.zeros(domain.shape(axes))
            except TooLargeError as error:
                raise CostError(f"the cost '{name}': {error}") from error
            for cell in np.argwhere(domain.possible(axes)).tolist():
                chosen = {
                    domain.decisions[axis].label: domain.decisions[axis].choices[place]
                    for axis, place in zip(axes, cell, strict=True)
                    if place < domain.choices[axis]
                }
                table[tuple(cell)] = checked_number(function(chosen), name)
            tables[axes] = tables[axes] + table if axes in tables else table
        return cls(name, space, tables, exact=exact, domain=domain)

    def _flat(self) -> Rows:
        return tuple(self.tables.items())

    def _parts(self) -> list[Tables]:
        return [self.tables]

    def _combined(self, cells: NDArray[np.float64]) -> float:
        return float(cells.sum())

    def _at(self, codes: NDArray[np.int32]) -> NDArray[np.float64]:
        return added(self.domain, self._flat(), codes)

    def minimum(self) -> tuple[float, Arch]:
        """See `Tabular`."""
        return self._extreme(1.0)

    def maximum(self) -> tuple[float, Arch]:
        """See `Tabular`."""
        return self._extreme(-1.0)

    def _extreme(self, sign: float) -> tuple[float, Arch]:
        from hwnas.cost._tables.eliminate import lowest

        signed = {axes: sign * table for axes, table in self.tables.items()}
        try:
            value, codes = lowest(self.domain, list(signed.items()))
        except TooLargeError as error:
            raise CostError(f"no exact extreme of '{self.name}': {error}") from error
        return sign * value, self.domain.arch(codes)

    def expectation(self, probabilities: Mapping[str, Tensor | Sequence[float]]) -> Tensor:
        """The mean cost when each decision, if taken, is drawn independently of the others.

        Args:
            probabilities: label -> the probabilities of its choices, given that it is taken; a
                decision that is left out is uniform. Differentiable where they are tensors.

        Returns:
            a scalar tensor of 64-bit floats.
        """
        from hwnas.cost._tables.expectation import expectation

        return expectation(self.domain, self._products, probabilities)

    def __add__(self, other: Cost | float) -> CostTable:
        """The sum of two costs of one space, or of a cost and a number.

        Of two uncertain ones it is as uncertain as the worse, as if they erred together.
        """
        if isinstance(other, CostTable):
            if other.space.fingerprint != self.space.fingerprint:
                raise CostError("costs of different spaces cannot be added")
            name = self.name if self.name == other.name else f"{self.name}+{other.name}"
            tables, exact = joined([self.tables, other.tables]), self.exact and other.exact
            std = max(self.relative_std, other.relative_std)
        elif isinstance(other, int | float):
            name, exact, std = self.name, self.exact, self.relative_std
            tables = joined([self.tables, {(): np.array(float(other))}])
        else:
            return NotImplemented
        return self._like(tables, name, exact=exact, relative_std=std)

    __radd__ = __add__

    def __mul__(self, factor: float) -> CostTable:
        """The cost times a number."""
        if not isinstance(factor, int | float):
            return NotImplemented
        tables = {axes: table * factor for axes, table in self.tables.items()}
        return self._like(tables, self.name)

    __rmul__ = __mul__

    def renamed(self, name: str) -> CostTable:
        """The same cost under another name."""
        return self._like(self.tables, name)

    def _like(self, tables: Tables, name: str, **changed: Any) -> CostTable:
        kept = {"exact": self.exact, "relative_std": self.relative_std, **changed}
        return CostTable(name, self.space, tables, domain=self.domain, **kept)

    def uncertain(self, relative_std: float) -> CostTable:
        """The same cost with another standard deviation of its error, relative to the value."""
        return self._like(self.tables, self.name, relative_std=relative_std)

    def _quantile(self, q: float, distribution: str) -> Quantile:
        from hwnas.cost._feasible.quantile import histogram

        if distribution not in self._histograms:
            self._histograms[distribution] = histogram(self.domain, self.tables, distribution)
        return self._histograms[distribution].quantile(q)

    @cached_property
    def _histograms(self) -> dict[str, Histogram]:
        return {}

    @cached_property
    def _products(self) -> Products:
        from hwnas.cost._tables.expectation import products

        return products(self.domain, self.tables)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "relative_std": self.relative_std}

    def __setstate__(self, state: dict[str, Any]) -> None:
        (tables,) = state.pop("parts")
        self.__init__(tables=tables, **state)  # type: ignore[misc]
