"""Costs of edges as whole numbers of buckets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._chain import Group

_UNITS = 1 << 44


@dataclass(frozen=True, eq=False)
class Units:
    """A limit in whole units: every way that keeps it takes at most `room` of the units `low`.

    Attributes:
        room, low: the limit, and what each edge takes, rounded down; the room is -1 if no way
            keeps the limit.
        sure, high: the same rounded the other way: a way that takes at most `sure` of the units
            `high` keeps the limit.
        whole: whether nothing is rounded.
        most: what a way takes at most; a limit with at least that room binds nothing.
    """

    room: int
    low: list[NDArray[np.int64]]
    sure: int
    high: list[NDArray[np.int64]]
    whole: bool

    @property
    def most(self) -> int:
        return sum(int(units.max()) for units in self.high)

    def buckets(self, count: int) -> Units:
        """The same in at most `count` buckets."""
        width = max(1, -(-(self.room + 1) // count))
        if width == 1:
            return self
        return Units(
            self.room // width,
            [units // width for units in self.low],
            self.sure // width,
            [-(-units // width) for units in self.high],
            False,
        )


def units(groups: list[Group], row: int, limit: float, sign: int) -> Units:
    """Units for `sign * cost <= sign * limit`, counted from the cheapest edge of each group.

    If the costs are whole numbers, their greatest common divisor is the unit and all arithmetic
    is exact.
    """
    costs = [sign * group.costs[row] for group in groups]
    lowest = [float(cost.min()) for cost in costs]
    excess = [cost - low for cost, low in zip(costs, lowest, strict=True)]
    spare = sign * limit - math.fsum(lowest)
    top = sum(float(e.max()) for e in excess)
    if all(np.array_equal(cost, np.round(cost)) for cost in costs) and top < 2**53:
        low = [e.astype(np.int64) for e in excess]
        step = math.gcd(*(int(np.gcd.reduce(u)) for u in low)) or 1
        low = high = [u // step for u in low]
        room = sure = math.floor(spare / step)
    else:
        size = max(top, abs(spare), 1e-300) / _UNITS
        low = [np.floor(e / size).astype(np.int64) for e in excess]
        high = [np.ceil(e / size).astype(np.int64) for e in excess]
        # The sums are rounded too: a unit for each group is on the safe side.
        room, sure = math.floor(spare / size) + len(groups), math.floor(spare / size) - len(groups)
    top_units = sum(int(u.max()) for u in high)
    return Units(
        max(-1, min(room, top_units)), low, max(-1, min(sure, top_units)), high, low is high
    )
