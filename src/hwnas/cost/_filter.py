"""RangeFilter: archs whose cost lies in a range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._base import Cost
from hwnas.errors import CostError

if TYPE_CHECKING:
    from hwnas.space import Value


class RangeFilter:
    """Whether an arch's cost lies in `[min, max]`; either end may be left open.

    For a `CostTable`, `FeasibleSet(space, filter.limits)` draws such archs without rejection.

    Args:
        cost: any cost.
        min, max: in the cost's unit, both included.

    Raises:
        CostError: both ends are open, one is NaN, or the range is empty.
    """

    def __init__(self, cost: Cost, min: float | None = None, max: float | None = None) -> None:
        if min is None and max is None:
            raise CostError(f"a range of '{cost.name}' needs an end: min, max or both")
        self.cost = cost
        self.min = -math.inf if min is None else float(min)
        self.max = math.inf if max is None else float(max)
        if not self.min <= self.max:
            raise CostError(f"the range of '{cost.name}' is empty: {self.min} to {self.max}")

    def __call__(self, arch: Mapping[str, Value]) -> bool:
        """Whether one arch passes.

        Raises:
            ArchError: it is no canonical arch of the cost's space.
        """
        return self.min <= self.cost(arch) <= self.max

    def keeps(self, encoded: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which archs, encoded by `space.encode`, pass: (n, decisions) -> (n,)."""
        values = self.cost.evaluate(encoded)
        return (self.min <= values) & (values <= self.max)

    @property
    def limits(self) -> list[tuple[Cost, Literal["<=", ">="], float]]:
        """The ends of the range as limits of a `FeasibleSet`."""
        found: list[tuple[Cost, Literal["<=", ">="], float]] = []
        if self.max < math.inf:
            found.append((self.cost, "<=", self.max))
        if self.min > -math.inf:
            found.append((self.cost, ">=", self.min))
        return found

    def __repr__(self) -> str:
        return f"RangeFilter({self.min:g} <= {self.cost.name} <= {self.max:g})"
