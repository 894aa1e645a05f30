"""Quantiles of costs without drawing archs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._feasible.buckets import Units, rounded, units
from hwnas.cost._feasible.chain import chain
from hwnas.cost._feasible.fit import stacked
from hwnas.cost._feasible.lumps import Layer, lumped
from hwnas.cost._feasible.program import Program
from hwnas.cost._feasible.windows import Windows
from hwnas.cost._tables.assembly import Tables
from hwnas.cost._tables.domain import Domain
from hwnas.cost._tables.maxima import at_most

_SUMS = 1 << 19
"""Different sums that are kept apart at once."""
_WORK = 3 << 26
"""Cells read for a histogram of buckets."""
_TIE = 1e-12
"""Probabilities that differ by less are the same."""


class Quantile(float):
    """A quantile, and how far it is known.

    Attributes:
        lower, upper: between them it lies: for certain, or, of a `sample`, with three standard
            errors to each side.
        method: `exact`: it is the number itself. `bounds`: it is `upper`, so that at least the
            share that was asked for is at or below it. `sample`: it is that of a random sample.
    """

    lower: float
    upper: float
    method: Literal["exact", "bounds", "sample"]

    def __new__(cls, value: float, lower: float, upper: float, method: str) -> Self:
        self = super().__new__(cls, value)
        self.lower, self.upper, self.method = lower, upper, method  # type: ignore[assignment]
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return float(self), self.lower, self.upper, self.method


@dataclass(frozen=True, eq=False)
class Histogram:
    """The share of archs at or below each of some values, from above and from below.

    Attributes:
        low, share_low: at most `share_low[i]` is below `low[i + 1]`.
        high, share_high: at least `share_high[i]` is at or below `high[i]`.
    """

    low: NDArray[np.float64]
    share_low: NDArray[np.float64]
    high: NDArray[np.float64]
    share_high: NDArray[np.float64]

    def quantile(self, q: float) -> Quantile:
        """The smallest value with at least a share of `q` at or below it."""
        first, last = (
            int(np.searchsorted(share, max(q - _TIE, _TIE)))
            for share in (self.share_low, self.share_high)
        )
        lower = float(self.low[min(first, len(self.low) - 1)])
        upper = float(self.high[min(last, len(self.high) - 1)])
        return Quantile(upper, lower, upper, "exact" if lower == upper else "bounds")


def histogram(domain: Domain, tables: Tables, distribution: str) -> Histogram:
    """Of a sum of tables: exact if it has few different values, else in narrow buckets.

    Raises:
        TooLargeError: the decisions hang together too closely.
    """
    layers = lumped(domain, chain(domain, [tables]))
    weights = [layer.weights(distribution) for layer in layers]
    given = units(layers, 0, None, 1)
    # Costs that are no whole numbers are rounded to units, by at most one in each layer.
    slack = 0 if given.whole else len(layers)
    sums = [_sums(layers, amounts, weights) for amounts in (given.low, given.high)]
    found = [
        _bucketed(layers, given, weights, up=up) if known is None else known
        for up, known in zip((False, True), sums, strict=True)
    ]
    (low, share_low), (high, share_high) = found
    return Histogram(
        (low - slack) * given.step + given.base,
        share_low,
        (high + slack) * given.step + given.base,
        share_high,
    )


def quantile_of_maximum(
    domain: Domain, parts: Sequence[Tables], q: float, distribution: str
) -> Quantile | None:
    """By bisection over the values of its cells; None if a part is a sum over many decisions.

    Raises:
        TooLargeError: the decisions hang together too closely.
    """
    tables = [table for part in parts for table in part.values()]
    if len(tables) > len(parts):
        return None
    values = np.unique(np.concatenate([table[~np.isnan(table)] for table in tables]))
    total = _mass(domain, parts, float(values[-1]), distribution)
    if not np.isfinite(total):
        return None
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        share = _mass(domain, parts, float(values[middle]), distribution) / total
        if share >= max(q - _TIE, _TIE):
            high = middle
        else:
            low = middle + 1
    value = float(values[low])
    return Quantile(value, value, value, "exact")


def _mass(domain: Domain, parts: Sequence[Tables], limit: float, distribution: str) -> float:
    guards, _ = at_most(domain, parts, limit)
    after = np.ones(1)
    for group in reversed(chain(domain, [], guards)):
        if len(group.source) == 0:
            return 0.0
        weighted = group.weights(domain, distribution) * after[group.target]
        after = np.add.reduceat(weighted, group.first[:-1])
    return float(after[0])


def _sums(
    layers: Sequence[Layer],
    amounts: Sequence[NDArray[np.int64]],
    weights: Sequence[NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The different sums over all ways, and the share at or below each; None if many."""
    after = [(np.zeros(1, np.int64), np.ones(1))]
    for layer, amount, weight in zip(
        reversed(layers), reversed(amounts), reversed(weights), strict=True
    ):
        sizes = np.array([len(values) for values, _ in after])
        if sizes[layer.target].sum() > _SUMS:
            return None
        before = []
        targets = layer.target.tolist()
        for start, end in zip(layer.first[:-1].tolist(), layer.first[1:].tolist(), strict=True):
            values = np.concatenate([after[targets[e]][0] + amount[e] for e in range(start, end)])
            mass = np.concatenate([after[targets[e]][1] * weight[e] for e in range(start, end)])
            different, place = np.unique(values, return_inverse=True)
            before.append((different, np.bincount(place.reshape(-1), mass)))
        top = max(float(mass.max()) for _, mass in before)
        after = [(values, mass / top) for values, mass in before]
    values, mass = after[0]
    share = np.cumsum(mass)
    return values.astype(np.float64), share / share[-1]


def _bucketed(
    layers: Sequence[Layer], given: Units, weights: Sequence[NDArray[np.float64]], *, up: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Units, and the share of ways in buckets up to each: rounded down more than have no more
    units, rounded up fewer.
    """
    width = max(1, -(-(given.most + 1) // (1 << 50)))
    while True:
        buckets = rounded(layers, given, width, weights, up=up)
        takes, room = stacked(layers, [buckets])
        # So much room that no way takes more.
        room = [sum(int(take.max()) for take in takes)]
        windows = Windows(layers, takes, room, less=True)
        if windows.work <= _WORK:
            break
        width = int(width * max(1.1, 1.05 * windows.work / _WORK)) + 1
    share = Program(layers, takes, room, weights, windows).after[0]
    units_ = np.arange(len(share), dtype=np.float64) * width + buckets.shift
    return units_, share / share[-1]
