"""What costs made of tables have in common: one value for an arch, many, quantiles, files."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._base import Cost
from hwnas.cost._tables.assembly import Tables
from hwnas.cost._tables.cells import Cells, Rows, places
from hwnas.cost._tables.domain import Domain, TooLargeError
from hwnas.cost._tables.stored import Stored, load_table, write
from hwnas.cost._tables.varying import Axes
from hwnas.errors import CostError

if TYPE_CHECKING:
    from hwnas.cost._feasible.quantile import Quantile
    from hwnas.space import Arch, SearchSpace, Value


class Tabular(Cost):
    """A cost of a whole space, held in tables over few decisions each.

    An axis of a table belongs to one decision, with a place for each choice and, if the decision
    has a condition, a last one for "not taken". Cells that no arch has are NaN.
    """

    domain: Domain
    kind: ClassVar[str]
    relative_std: float = 0.0

    @abstractmethod
    def _flat(self) -> Rows:
        """All tables, one after another; each decision is in one of them."""

    @abstractmethod
    def _parts(self) -> list[Tables]:
        """The sums of tables that the cost is made of."""

    @abstractmethod
    def _combined(self, cells: NDArray[np.float64]) -> float:
        """The cost of an arch from its cells of all tables; NaN if it is not canonical."""

    @abstractmethod
    def _at(self, codes: NDArray[np.int32]) -> NDArray[np.float64]:
        """The costs of archs given by their places on all axes: (decisions, n) -> (n,)."""

    @abstractmethod
    def minimum(self) -> tuple[float, Arch]:
        """The smallest cost of any arch, and an arch that has it.

        Raises:
            CostError: the decisions hang together too closely for an exact answer.
        """

    @abstractmethod
    def maximum(self) -> tuple[float, Arch]:
        """The largest cost of any arch, and an arch that has it; see `minimum`."""

    def __call__(self, arch: Mapping[str, Value]) -> float:
        """The cost of one arch.

        Raises:
            ArchError: it is no canonical arch of the space.
        """
        cells = self._cells.of(arch)
        cost = math.nan if cells is None else self._combined(cells)
        if cost != cost:
            self.space.validate(arch)
        return cost

    def evaluate(self, encoded: NDArray[np.float64]) -> NDArray[np.float64]:
        """The costs of archs encoded by `space.encode`: (n, decisions) -> (n,).

        Raises:
            ArchError: a row encodes no canonical arch.
        """
        costs = np.empty(len(encoded))
        for rows, codes in places(self.domain, encoded):
            costs[rows] = self._at(codes)
        if np.isnan(costs).any():
            row = int(np.isnan(costs).argmax())
            self.space.decode(np.asarray(encoded)[row : row + 1])
        return costs

    def quantile(
        self,
        q: float,
        distribution: Literal["decisions", "archs"] = "decisions",
        *,
        samples: int = 20_000,
        seed: int = 0,
    ) -> Quantile:
        """The smallest value that at least a share `q` of a named distribution does not exceed.

        The result is a float that says how it was found: exactly, or within bounds that hold for
        certain, of which it is the upper one (where a cost has very many values; they are less
        than 0.1 % of its range apart in the spaces of the zoo). Only where the decisions hang
        together too closely for either is it that of a random sample.

        Args:
            samples, seed: of that random sample.
        """
        if not 0 <= q <= 1:
            raise CostError(f"a quantile is between 0 and 1, not {q}")
        if distribution not in ("decisions", "archs"):
            raise CostError(f"'{distribution}' is no distribution: decisions or archs")
        try:
            found = self._quantile(q, distribution)
        except TooLargeError:
            found = None
        return self._sampled(q, distribution, samples, seed) if found is None else found

    @abstractmethod
    def _quantile(self, q: float, distribution: str) -> Quantile | None:
        """See `quantile`; None if it takes a sample."""

    def _sampled(
        self, q: float, distribution: Literal["decisions", "archs"], samples: int, seed: int
    ) -> Quantile:
        from hwnas.cost._feasible.feasible_set import FeasibleSet
        from hwnas.cost._feasible.quantile import Quantile

        draws = FeasibleSet(self.space, [], domain=self.domain).draw_encoded(
            samples, np.random.default_rng(seed), distribution
        )
        error = 3 * math.sqrt(q * (1 - q) / samples)
        shares = np.clip([q, q - error, q + error], 0, 1)
        values = np.quantile(self.evaluate(draws), shares, method="inverted_cdf")
        value, lower, upper = values.tolist()
        return Quantile(value, lower, upper, "sample")

    @abstractmethod
    def renamed(self, name: str) -> Self:
        """The same cost under another name."""

    def save(self, path: Path) -> None:
        """Write the tables as `.npz` with a JSON header; the file is whole or absent."""
        write(
            path,
            Stored(self.kind, self.name, self.exact, self._parts(), self.relative_std),
            self.space,
        )

    @classmethod
    def load(cls, path: Path, space: SearchSpace) -> Self:
        """Read what `save` wrote.

        Raises:
            CostError: the file is something else, or its tables belong to another space.
        """
        found = load_table(path, space)
        if not isinstance(found, cls):
            raise CostError(f"{path} holds a {type(found).__name__}, not a {cls.__name__}")
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "space": self.space, "exact": self.exact, "parts": self._parts()}

    @cached_property
    def _cells(self) -> Cells:
        return Cells(self.domain, self._flat())


def fitting(domain: Domain, name: str, tables: Mapping[Axes, NDArray[np.float64]]) -> Tables:
    """Tables as they were given.

    Raises:
        CostError: one has another shape than its decisions, or names what is no decision.
    """
    for axes, table in tables.items():
        known = tuple(axes) == tuple(sorted(set(axes) & set(range(len(domain.sizes)))))
        if not known or np.shape(table) != domain.shape(tuple(axes)):
            raise CostError(f"the cost '{name}': the table over {axes} has a wrong shape")
    return {tuple(axes): np.asarray(table, np.float64) for axes, table in tables.items()}
