"""Limits on costs, and how many archs keep them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hwnas.cost._table import CostTable

Distribution: TypeAlias = Literal["decisions", "archs"]
Limit: TypeAlias = tuple[CostTable, Literal["<=", ">="], float]


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


def simplex(parts: int, steps: int = 8) -> Iterator[tuple[float, ...]]:
    """Weights that add up to one, on a grid."""
    if parts == 1:
        yield (1.0,)
        return
    for i in range(steps + 1):
        for rest in simplex(parts - 1, steps):
            yield (i / steps, *((1 - i / steps) * r for r in rest))
