"""The dynamic program of a set of limits, in as many buckets as it takes and as there can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._feasible.buckets import Buckets, Units, rounded
from hwnas.cost._feasible.lumps import Layer
from hwnas.cost._feasible.program import Program, counted
from hwnas.cost._feasible.windows import Windows

_CELLS = 24 << 20
"""Cells of a dynamic program in memory, 8 bytes each."""
_WORK = 1 << 28
"""Cells read to make one."""
_COUNTED = 1 << 26
"""Cells read to count once."""
_BUCKETS = {0: 1, 1: 4096, 2: 160, 3: 40}
_FEWEST = 16
_ACCEPTANCE = 0.96
"""The share wanted; a little above what is promised, as it is estimated from draws."""
_TRIES = 1000
_ROUNDS = 4

Fitting: TypeAlias = tuple[list[NDArray[np.int64]], list[int], Windows]


def fitted(
    layers: Sequence[Layer], limits: Sequence[Units], weights: Sequence[NDArray[np.float64]]
) -> Program | None:
    """A program over all ways that keep the limits and few others; None if none keeps them.

    Each limit has its own width of buckets, so that about the same share of draws is lost to each.
    """
    buckets = _BUCKETS.get(len(limits), _FEWEST)
    widths = [max(1, -(-(u.room + 1) // buckets)) for u in limits]
    best: Program | None = None
    share, size = 0.0, math.inf
    for _ in range(_ROUNDS):
        widths, (takes, room, windows) = _affordable(layers, limits, widths, weights)
        if math.prod(widths) > 0.7 * size:
            break
        size = math.prod(widths)
        if min(room, default=0) < 0:
            return None
        program = Program(layers, takes, room, weights, windows)
        if program.empty:
            return None
        lost = _lost(program, limits)
        if best is None or 1 - lost[-1] > share:
            best, share = program, 1 - lost[-1]
        if share >= _ACCEPTANCE or all(width == 1 for width in widths):
            break
        goal = (1 - _ACCEPTANCE) / len(limits)
        factors = [min(1.0, max(0.8 * goal / max(part, 1e-9), 1 / 64)) for part in lost[:-1]]
        finer = [max(1, int(w * f)) for w, f in zip(widths, factors, strict=True)]
        if finer == widths:
            finer = [max(1, w // 2) for w in widths]
        widths = finer
    return best


def between(layers: Sequence[Layer], limits: Sequence[Units], bits: int) -> tuple[int, int]:
    """Bounds of the number of ways that keep the limits, of which there are less than 2**bits."""
    each = [layer.weights("archs") for layer in layers]
    buckets = 1 << 50 // max(1, len(limits))  # More cannot be counted, nor their cells numbered.
    widths = [max(1, -(-(u.room + 1) // buckets)) for u in limits]
    while True:
        upper = _rounded(layers, limits, widths, each)
        excess = max(upper[2].cells / _CELLS, upper[2].work / _COUNTED)
        if excess <= 1 or not limits:
            break
        widths = _wider(widths, excess)

    def count(found: Fitting) -> int:
        return counted(layers, found[1], found[2], bits) if min(found[1], default=0) >= 0 else 0

    most = count(upper)
    if all(u.whole for u in limits) and set(widths) <= {1}:
        return most, most
    return count(_rounded(layers, limits, widths, each, up=True)), most


def _lost(program: Program, limits: Sequence[Units]) -> list[float]:
    """The share of draws that break each limit, and that which breaks any."""
    paths = program.draw(_TRIES, np.random.default_rng(0))
    broken = [
        sum(amount[edges] for amount, edges in zip(u.low, paths, strict=True)) > u.room
        for u in limits
    ]
    shares = [-math.log(max(1e-3, 1 - float(b.mean()))) for b in broken]
    return [*shares, float(np.any(broken, axis=0).mean()) if broken else 0.0]


def _affordable(
    layers: Sequence[Layer],
    limits: Sequence[Units],
    widths: list[int],
    weights: Sequence[NDArray[np.float64]],
) -> tuple[list[int], Fitting]:
    """These widths, or wider ones with which the program is not too large."""
    while True:
        found = _rounded(layers, limits, widths, weights)
        excess = max(found[2].cells / _CELLS, found[2].work / _WORK)
        if excess <= 1 or not limits or min(found[1]) < 0:
            return widths, found
        widths = _wider(widths, excess)


def _wider(widths: list[int], excess: float) -> list[int]:
    factor = max(1.1, (1.05 * excess) ** (1 / len(widths)))
    return [math.ceil(width * factor) for width in widths]


def _rounded(
    layers: Sequence[Layer],
    limits: Sequence[Units],
    widths: list[int],
    weights: Sequence[NDArray[np.float64]],
    *,
    up: bool = False,
) -> Fitting:
    parts = [
        rounded(layers, u, width, weights, up=up) for u, width in zip(limits, widths, strict=True)
    ]
    takes, room = stacked(layers, parts)
    return takes, room, Windows(layers, takes, [max(0, r) for r in room])


def stacked(
    layers: Sequence[Layer], limits: Sequence[Buckets]
) -> tuple[list[NDArray[np.int64]], list[int]]:
    """What edges take of all limits, per layer of shape (limits, edges), and the rooms."""
    takes = [
        np.array([limit.takes[at] for limit in limits], np.int64).reshape(-1, len(layer.source))
        for at, layer in enumerate(layers)
    ]
    return takes, [limit.room for limit in limits]
