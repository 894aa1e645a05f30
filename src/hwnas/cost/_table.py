"""CostTable: a cost as a sum of small tables."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwnas._files import replacing
from hwnas.cost._assembly import Tables, checked, joined
from hwnas.cost._base import Cost, checked_number
from hwnas.cost._domain import Domain, TooLargeError
from hwnas.cost._varying import Axes
from hwnas.errors import ArchError, CostError

if TYPE_CHECKING:
    from torch import Tensor

    from hwnas.cost._expectation import Products
    from hwnas.space import Arch, SearchSpace, Value

_ROWS = 8192
_FORMAT = 1


class CostTable(Cost):
    """A cost that is a sum of tables, each over the few decisions that a part depends on.

    Exact: the value of an arch is the sum of one cell of each table. An axis of a table belongs
    to one decision, with a place for each choice and, if the decision has a condition, a last one
    for "not taken".

    Args:
        name: the metric.
        space: the space.
        tables: columns of `space.decisions` (ascending) -> values, of that shape.
        exact: see `Cost`.

    Raises:
        CostError: a table has another shape than its decisions.
    """

    def __init__(
        self,
        name: str,
        space: SearchSpace,
        tables: Mapping[Axes, NDArray[np.float64]],
        *,
        exact: bool = False,
        domain: Domain | None = None,
    ) -> None:
        self.name = name
        self.space = space
        self.exact = exact
        self.domain = Domain(space.decisions) if domain is None else domain
        for axes, table in tables.items():
            known = tuple(axes) == tuple(sorted(set(axes) & set(range(len(self.domain.sizes)))))
            if not known or np.shape(table) != self.domain.shape(tuple(axes)):
                raise CostError(f"the cost '{name}': the table over {axes} has a wrong shape")
        self.tables: Tables = checked(self.domain, dict(tables))

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

    def __call__(self, arch: Mapping[str, Value]) -> float:
        """The cost of one arch.

        Raises:
            ArchError: it is no canonical arch of the space.
        """
        codes = self._absent.copy()
        try:
            for label, value in arch.items():
                column, place = self._places[label, type(value), value]
                codes[column] = place
            cost = float(self._cells[(self._strides @ codes + self._starts).astype(np.intp)].sum())
        except (KeyError, IndexError):
            cost = math.nan
        if cost != cost:
            self.space.validate(arch)
        return cost

    def evaluate(self, encoded: NDArray[np.float64]) -> NDArray[np.float64]:
        """The costs of archs encoded by `space.encode`: (n, decisions) -> (n,).

        Raises:
            ArchError: a row encodes no canonical arch.
        """
        encoded = np.asarray(encoded)
        if encoded.ndim != 2 or encoded.shape[1] != len(self.domain.sizes):
            width = len(self.domain.sizes)
            raise ArchError(f"an encoding has shape (n, {width}), not {encoded.shape}")
        costs = np.empty(len(encoded))
        last = np.array(self.domain.sizes, np.int32)[:, None] - 1
        least = np.array(self.domain.choices, np.int32)[:, None] - 1 - last
        for start in range(0, len(encoded), _ROWS):
            codes = encoded[start : start + _ROWS].T.astype(np.int32)
            if (codes > last).any() or (codes < least).any():
                raise ArchError("an encoding holds a place that no choice has")
            np.copyto(codes, last, where=codes < 0)
            total = np.zeros(codes.shape[1])
            for axes, table in self.tables.items():
                flat = np.zeros(codes.shape[1], np.int32)
                for axis in axes:
                    flat *= self.domain.sizes[axis]
                    flat += codes[axis]
                total += table.ravel()[flat]
            costs[start : start + _ROWS] = total
        if np.isnan(costs).any():
            row = int(np.isnan(costs).argmax())
            self.space.decode(encoded[row : row + 1])
        return costs

    def minimum(self) -> tuple[float, Arch]:
        """The smallest cost of any arch, and an arch that has it.

        Raises:
            CostError: the decisions hang together too closely for an exact answer.
        """
        return self._extreme(1.0)

    def maximum(self) -> tuple[float, Arch]:
        """The largest cost of any arch, and an arch that has it; see `minimum`."""
        return self._extreme(-1.0)

    def _extreme(self, sign: float) -> tuple[float, Arch]:
        from hwnas.cost._eliminate import lowest

        signed = {axes: sign * table for axes, table in self.tables.items()}
        try:
            value, codes = lowest(self.domain, signed)
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
        from hwnas.cost._expectation import expectation

        return expectation(self.domain, self._products, probabilities)

    def quantile(
        self,
        q: float,
        distribution: Literal["decisions", "archs"] = "decisions",
        *,
        samples: int = 20_000,
        seed: int = 0,
    ) -> float:
        """The q-quantile of the cost in a named distribution, from a random sample of that size.

        Its standard error is that of the q-quantile of `samples` independent draws.
        """
        from hwnas.cost._feasible import FeasibleSet

        if not 0 <= q <= 1:
            raise CostError(f"a quantile is between 0 and 1, not {q}")
        draws = FeasibleSet(self.space, [], domain=self.domain).draw_encoded(
            samples, np.random.default_rng(seed), distribution
        )
        return float(np.quantile(self.evaluate(draws), q, method="inverted_cdf"))

    def __add__(self, other: Cost | float) -> CostTable:
        """The sum of two costs of one space, or of a cost and a number."""
        if isinstance(other, CostTable):
            if other.space.fingerprint != self.space.fingerprint:
                raise CostError("costs of different spaces cannot be added")
            name = self.name if self.name == other.name else f"{self.name}+{other.name}"
            tables, exact = joined([self.tables, other.tables]), self.exact and other.exact
        elif isinstance(other, int | float):
            name, exact = self.name, self.exact
            tables = joined([self.tables, {(): np.array(float(other))}])
        else:
            return NotImplemented
        return CostTable(name, self.space, tables, exact=exact, domain=self.domain)

    __radd__ = __add__

    def __mul__(self, factor: float) -> CostTable:
        """The cost times a number."""
        if not isinstance(factor, int | float):
            return NotImplemented
        tables = {axes: table * factor for axes, table in self.tables.items()}
        return CostTable(self.name, self.space, tables, exact=self.exact, domain=self.domain)

    __rmul__ = __mul__

    def renamed(self, name: str) -> CostTable:
        """The same cost under another name."""
        return CostTable(name, self.space, self.tables, exact=self.exact, domain=self.domain)

    def save(self, path: Path) -> None:
        """Write the tables as `.npz` with a JSON header; the file is whole or absent."""
        header = {
            "format": _FORMAT,
            "name": self.name,
            "fingerprint": self.space.fingerprint,
            "exact": self.exact,
            "axes": [list(axes) for axes in self.tables],
        }
        arrays = {f"table{i}": table for i, table in enumerate(self.tables.values())}
        with replacing(Path(path)) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path, space: SearchSpace) -> CostTable:
        """Read what `save` wrote.

        Raises:
            CostError: the file is something else, or its table belongs to another space.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                tables = {
                    tuple(axes): file[f"table{i}"].astype(np.float64)
                    for i, axes in enumerate(header["axes"])
                }
            known = header["format"], header["fingerprint"], header["name"], header["exact"]
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise CostError(f"{path} is no cost table: {error}") from error
        if known[0] != _FORMAT:
            raise CostError(f"{path} has format {known[0]}; this version reads {_FORMAT}")
        if known[1] != space.fingerprint:
            raise CostError(f"{path} is the cost of another space: its fingerprint differs")
        return cls(str(known[2]), space, tables, exact=bool(known[3]))

    # One arch: places of its choices, then one cell of each table.

    @cached_property
    def _places(self) -> dict[tuple[str, type, Value], tuple[int, int]]:
        return {
            (decision.label, type(value), value): (column, place)
            for column, decision in enumerate(self.space.decisions)
            for place, value in enumerate(decision.choices)
        }

    @cached_property
    def _products(self) -> Products:
        from hwnas.cost._expectation import products

        return products(self.domain, self.tables)

    @cached_property
    def _absent(self) -> NDArray[np.float64]:
        # A decision that must be taken and is not leads far beyond the last cell.
        sizes = np.array(self.domain.sizes, np.float64)
        return np.where(sizes > self.domain.choices, sizes - 1, 1e12)

    @cached_property
    def _strides(self) -> NDArray[np.float64]:
        strides = np.zeros((len(self.tables), len(self.domain.sizes)))
        for row, axes in zip(strides, self.tables, strict=True):
            step = 1
            for axis in reversed(axes):
                row[axis] = step
                step *= self.domain.sizes[axis]
        return strides

    @cached_property
    def _starts(self) -> NDArray[np.float64]:
        sizes = [table.size for table in self.tables.values()]
        return np.cumsum([0, *sizes[:-1]], dtype=np.float64)

    @cached_property
    def _cells(self) -> NDArray[np.float64]:
        """The cells of all tables in one array."""
        cells = [table.ravel() for table in self.tables.values()]
        return np.concatenate(cells) if cells else np.zeros(0)

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "space": self.space, "tables": self.tables, "exact": self.exact}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]
