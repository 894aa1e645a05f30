"""Costs of edges as whole numbers of units, and units as whole numbers of buckets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._feasible.lumps import Layer

_UNITS = 1 << 44


@dataclass(frozen=True, eq=False)
class Units:
    """A limit in whole units, counted from the cheapest way on from each state.

    Attributes:
        room, low: every way that keeps the limit takes at most `room` of the units `low`; the
            room is negative if no way keeps it.
        sure, high: every way that takes at most `sure` of the units `high` keeps the limit.
        whole: whether nothing is rounded.
        base, step: a way of so many units costs `base + step * units`, times the limit's sign.
        most: what a way takes at most of `high`; a limit with at least that room binds nothing.
    """

    room: int
    low: list[NDArray[np.int64]]
    sure: int
    high: list[NDArray[np.int64]]
    whole: bool
    base: float
    step: float
    most: int


@dataclass(frozen=True, eq=False)
class Buckets:
    """Units in buckets: a way takes its units less `shift`, by `width`, rounded edge by edge.

    Attributes:
        room: negative if no way keeps it.
        takes: buckets that each edge takes, per layer.
    """

    room: int
    takes: list[NDArray[np.int64]]
    width: int
    shift: int


def units(layers: Sequence[Layer], row: int, limit: float | None, sign: int) -> Units:
    """Units for `sign * cost <= sign * limit`, or for no limit.

    If the costs are whole numbers, the greatest common divisor of the differences is the unit and
    all arithmetic is exact.
    """
    costs = [sign * layer.costs[row] for layer in layers]
    ahead, extra = np.zeros(1), []
    largest = 0.0
    for layer, cost in zip(reversed(layers), reversed(costs), strict=True):
        through = cost + ahead[layer.target]
        ahead = np.minimum.reduceat(through, layer.first[:-1])
        extra.append(through - ahead[layer.source])
        largest = max(largest, float(np.abs(through).max()), float(np.abs(cost).max()))
    extra.reverse()
    spare = _most(layers, extra) if limit is None else sign * limit - float(ahead[0])
    if all(np.array_equal(cost, np.round(cost)) for cost in costs) and largest < 2**52:
        low = [e.astype(np.int64) for e in extra]
        step: float = math.gcd(*(int(np.gcd.reduce(u)) for u in low)) or 1
        low = high = [u // int(step) for u in low]
        room = sure = math.floor(spare / step)
    else:
        step = max(largest, abs(spare), 1e-300) / _UNITS
        low = [np.floor(e / step).astype(np.int64) for e in extra]
        high = [np.ceil(e / step).astype(np.int64) for e in extra]
        # The sums are rounded too: a unit for each group is on the safe side.
        room, sure = math.floor(spare / step) + len(layers), math.floor(spare / step) - len(layers)
    most = int(_most(layers, high))
    base = float(ahead[0])
    return Units(min(room, most), low, min(sure, most), high, low is high, base, step, most)


def _most(layers: Sequence[Layer], amounts: Sequence[NDArray[Any]]) -> float:
    ahead = np.zeros(1, amounts[0].dtype if amounts else np.int64)
    for layer, amount in zip(reversed(layers), reversed(amounts), strict=True):
        ahead = np.maximum.reduceat(amount + ahead[layer.target], layer.first[:-1])
    return ahead[0].item()  # type: ignore[no-any-return]


def rounded(
    layers: Sequence[Layer],
    given: Units,
    width: int,
    weights: Sequence[NDArray[np.float64]],
    *,
    up: bool = False,
) -> Buckets:
    """Buckets of `width` units such that every way that keeps the limit keeps the room; `up`: that
    every way that keeps the room keeps the limit.

    Each state has an amount that is added before it and taken off behind it, which leaves the sum
    over a way as it is. It is chosen so that, by weight, the least is lost to rounding.
    """
    room, amounts = (given.sure, given.high) if up else (given.room, given.low)
    if width == 1:
        return Buckets(room, amounts, 1, 0)
    shift, takes = np.zeros(1, np.int64), []
    for at in range(len(layers) - 1, -1, -1):
        layer = layers[at]
        through = amounts[at] + shift[layer.target]
        least = np.minimum.reduceat(through, layer.first[:-1])
        rests = (-through if up else through) % width
        bounds = itertools.pairwise(layer.first.tolist())
        rest = np.array([_kept(rests[a:b], weights[at][a:b], width) for a, b in bounds], np.int64)
        if up:
            shift = least + (-rest - least) % width
            takes.append(-((shift[layer.source] - through) // width))
        else:
            shift = least - (least - rest) % width
            takes.append((through - shift[layer.source]) // width)
    start = int(shift[0])
    return Buckets((room - start) // width, takes[::-1], width, start)


def _kept(rests: NDArray[np.int64], weight: NDArray[np.float64], width: int) -> int:
    """Which rest is to be made zero, so that the least is lost on average.

    That lets the larger ones lose less by it, and those that are smaller a width less that.
    """
    order = np.argsort(rests)
    rests, mass = rests[order], weight[order]
    below = np.cumsum(mass) - mass
    return int(rests[(width * below - rests * mass.sum()).argmin()])
