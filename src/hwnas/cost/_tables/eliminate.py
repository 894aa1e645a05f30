"""The smallest sum or maximum of tables over all archs, by variable elimination."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._tables.cells import Rows
from hwnas.cost._tables.domain import Domain
from hwnas.cost._tables.varying import Axes, spread


def lowest(domain: Domain, tables: Rows, together: np.ufunc = np.add) -> tuple[float, list[int]]:
    """The smallest sum (or maximum), and the places of an arch that has it. NaN cells are left
    out; each decision is in a table.

    Decisions are eliminated one by one, that with the smallest joint table first (Dechter, Bucket
    elimination, UAI 1996).

    Raises:
        TooLargeError: the decisions hang together too closely.
    """
    factors = [(axes, np.where(np.isnan(t), np.inf, t)) for axes, t in tables]
    remaining = set(range(len(domain.sizes)))
    choices: list[tuple[int, Axes, NDArray[np.intp]]] = []
    while remaining:
        wide, axis = domain.smallest(remaining, [axes for axes, _ in factors])
        domain.shape(wide)  # Not too large.
        total = functools.reduce(
            together, [spread(table, axes, wide) for axes, table in factors if axis in axes]
        )
        at = wide.index(axis)
        rest = wide[:at] + wide[at + 1 :]
        choices.append((axis, rest, total.argmin(at)))
        factors = [factor for factor in factors if axis not in factor[0]]
        factors.append((rest, total.min(at)))
        remaining.remove(axis)
    codes = [0] * len(domain.sizes)
    for axis, rest, best in reversed(choices):
        codes[axis] = int(best[tuple(codes[other] for other in rest)])
    return float(functools.reduce(together, [table for _, table in factors])), codes
