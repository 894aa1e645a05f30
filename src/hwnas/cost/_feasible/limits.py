"""Limits on costs, and how many archs keep them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from hwnas.cost._tables.assembly import Tables
from hwnas.cost._tables.domain import Domain, Guard
from hwnas.cost._tables.max_table import MaxTable
from hwnas.cost._tables.maxima import at_most, reaching
from hwnas.cost._tables.table import CostTable
from hwnas.cost._tables.tabular import Tabular
from hwnas.errors import CostError

if TYPE_CHECKING:
    from hwnas.space import SearchSpace

Distribution: TypeAlias = Literal["decisions", "archs"]
Limit: TypeAlias = tuple[Tabular, Literal["<=", ">="], float]


@dataclass(frozen=True)
class Sum:
    """`sign * (the sum of tables) <= sign * limit`."""

    tables: Tables
    sign: int
    limit: float


def checked_limits(space: SearchSpace, limits: Sequence[Limit]) -> tuple[Limit, ...]:
    """The same.

    Raises:
        CostError: a cost is not made of tables or belongs to another space, or a limit is not
            finite.
    """
    for cost, op, limit in limits:
        if not isinstance(cost, Tabular):
            raise CostError(f"the cost '{cost.name}' is not made of tables; filter by it instead")
        if cost.space.fingerprint != space.fingerprint:
            raise CostError(f"the cost '{cost.name}' belongs to another space")
        if op not in ("<=", ">=") or not math.isfinite(limit):
            raise CostError(f"{cost.name} {op} {limit} is no limit: <= or >= a finite number")
    return tuple(limits)


def taken_apart(domain: Domain, limits: Sequence[Limit]) -> tuple[list[Sum], list[Guard]]:
    """What the limits ask of sums of tables, and which cells they leave.

    A maximum keeps `<=` where each of its parts does: for a part of few decisions that is a
    matter of its cells. It keeps `>=` where at least one part does, so these are counted.

    Raises:
        CostError: a maximum has a lower limit and a part that is a sum over many decisions.
    """
    sums: list[Sum] = []
    guards: list[Guard] = []
    for cost, op, limit in limits:
        sign = 1 if op == "<=" else -1
        if isinstance(cost, CostTable):
            sums.append(Sum(cost.tables, sign, limit))
        elif isinstance(cost, MaxTable) and op == "<=":
            cells, parts = at_most(domain, cost.parts, limit)
            guards += cells
            sums += [Sum(part, 1, limit) for part in parts]
        elif isinstance(cost, MaxTable):
            count = reaching(domain, cost.parts, limit)
            if count is None:
                raise CostError(
                    f"{cost.name} >= {limit:g}: a part of it is a sum over many decisions; "
                    f"filter by RangeFilter({cost.name}, min={limit:g}) instead"
                )
            sums.append(Sum(count, -1, 1.0))
    return sums, guards


@dataclass(frozen=True)
class Count:
    """How many archs there are: exact if the two bounds are equal."""

    lower: int
    upper: int

    @property
    def exact(self) -> bool:
        """Whether the number is known."""
        return self.lower == self.upper

    def __str__(self) -> str:
        return str(self.lower) if self.exact else f"between {self.lower} and {self.upper}"
