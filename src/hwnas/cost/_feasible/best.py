"""The paths through a chain in the order of an additive score."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._feasible.lumps import Layer
from hwnas.cost._feasible.windows import Windows


def ranked(
    layers: Sequence[Layer],
    takes: Sequence[NDArray[np.int64]],
    room: Sequence[int],
    scores: Sequence[NDArray[np.float64]],
) -> Iterator[tuple[int, ...]]:
    """The edges of each path within `room`, the highest score first.

    Best-first search whose bound is exact: the best score that can follow is known for every
    state and room from a dynamic program, so no path is looked at that is not among the best.
    """
    windows = Windows(layers, takes, room)
    behind = _best_behind(len(layers), scores, windows)
    number = itertools.count()
    left = np.array(room, np.int64)
    start = float(behind[0][windows.place(0, np.array(0), left)])
    if np.isneginf(start):
        return
    heap: list[tuple[float, int, int, int, NDArray[np.int64], float, tuple[int, ...]]] = [
        (-start, next(number), 0, 0, left, 0.0, ())
    ]
    while heap:
        _, _, at, state, left, score, edges = heapq.heappop(heap)
        if at == len(layers):
            yield edges
            continue
        layer = layers[at]
        low, high = int(layer.first[state]), int(layer.first[state + 1])
        after = left[:, None] - takes[at][:, low:high]
        target = layer.target[low:high]
        best = behind[at + 1][windows.place(at + 1, target, after)]
        good = (after >= 0).all(0) & ~np.isneginf(best)
        for i in np.flatnonzero(good).tolist():
            now = score + float(scores[at][low + i])
            entry = (-(now + float(best[i])), next(number), at + 1, int(target[i]))
            heapq.heappush(heap, (*entry, after[:, i], now, (*edges, low + i)))


def _best_behind(
    layers: int, scores: Sequence[NDArray[np.float64]], windows: Windows
) -> list[NDArray[np.float64]]:
    after = windows.empty(layers, np.float64, 0.0)
    result = [after]
    for at in range(layers - 1, -1, -1):
        before = windows.empty(at, np.float64, -np.inf)
        edges = windows.edges[at]
        value = np.full(edges.shape[1], -np.inf)
        np.maximum.at(value, windows.edge[at], scores[at])
        into, outof = windows.boxes(at, before), windows.boxes(at + 1, after)
        for (s, t), v, blocks in zip(
            edges[:2].T.tolist(), value.tolist(), windows.blocks(at), strict=True
        ):
            for here, there in blocks:
                part = into[s][here]
                np.maximum(part, v + outof[t][there], out=part)
        after = before
        result.append(after)
    result.reverse()
    return result
