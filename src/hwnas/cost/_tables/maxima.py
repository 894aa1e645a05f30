"""Maxima over sums of tables: in as few tables as can be, and limits on them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._tables.assembly import Tables, joined, reduced
from hwnas.cost._tables.domain import Domain, Guard
from hwnas.cost._tables.varying import Axes, simplified, spread, union

_JOINED = 1 << 16
"""Cells up to which the tables of a sum become one table."""


def essential(domain: Domain, parts: Iterable[Tables]) -> list[Tables]:
    """The same maximum without what is never above the rest, in fewer tables.

    One table of each set of decisions is left of the parts that are few decisions' alone; the
    others stay sums.
    """
    compact = [one_table(domain, joined([part]), _JOINED) for part in parts]
    floor = max(least(part) for part in compact)
    alone: list[Tables] = []
    sums: list[Tables] = []
    for part in compact:
        if len(part) == 1:
            ((axes, table),) = part.items()
            alone.append(dict([reduced(domain, axes, np.maximum(table, floor))]))
        elif most(part) > floor:
            sums.append(part)
    merged = joined(alone, np.maximum)
    if sums and merged.keys() == {()}:
        sums = [part for part in sums if most(part) > merged[()]]
    return [
        {axes: np.where(domain.possible(axes), table, np.nan) for axes, table in part.items()}
        for part in [*({axes: table} for axes, table in merged.items()), *sums]
    ]


def one_table(domain: Domain, part: Tables, largest: int) -> Tables:
    """The sum in one table, if that has at most `largest` cells."""
    axes = union(part)
    if len(part) == 1 or math.prod(domain.sizes[axis] for axis in axes) > largest:
        return part
    total = np.zeros(domain.shape(axes))
    for narrow, table in part.items():
        total = total + spread(table, narrow, axes)
    return {axes: total}


def least(part: Tables) -> float:
    """No arch has less; attained if there is one table."""
    return math.fsum(float(np.nanmin(table)) for table in part.values())


def most(part: Tables) -> float:
    """No arch has more; attained if there is one table."""
    return math.fsum(float(np.nanmax(table)) for table in part.values())


def at_most(
    domain: Domain, parts: Sequence[Tables], limit: float
) -> tuple[list[Guard], list[Tables]]:
    """What keeps a maximum at or below `limit`: where each guard holds and each sum keeps it."""
    guards, sums = [], []
    for part in parts:
        if most(part) <= limit:
            continue
        if len(part) > 1:
            sums.append(part)
            continue
        ((axes, table),) = part.items()
        guards.append(Guard(*_where(domain, axes, table <= limit)))
    return guards, sums


def reaching(domain: Domain, parts: Sequence[Tables], limit: float) -> Tables | None:
    """How many parts are at or above `limit`, as a sum of tables.

    None if that cannot be told by one table of each part.
    """
    counts = []
    for part in parts:
        if len(part) > 1 and most(part) >= limit:
            return None
        ((axes, table),) = part.items() if len(part) == 1 else (((), np.array(-math.inf)),)
        narrow, mask = _where(domain, axes, table >= limit)
        counts.append({narrow: mask.astype(np.float64)})
    return joined(counts)


def _where(domain: Domain, axes: Axes, mask: NDArray[np.bool_]) -> tuple[Axes, NDArray[np.bool_]]:
    axes, index = simplified(axes, np.where(domain.possible(axes), mask, -1))
    return axes, index > 0
