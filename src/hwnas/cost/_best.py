"""The ways through a chain in the order of an additive score."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._chain import Group
from hwnas.cost._program import Rooms


def ranked(
    groups: list[Group],
    taken: list[NDArray[np.int64]],
    room: Rooms,
    scores: list[NDArray[np.float64]],
) -> Iterator[list[int]]:
    """The edges of each way within `room`, the highest score first.

    Best-first search whose bound is exact: the best score that can follow is known for every
    state and room from a dynamic program, so no way is looked at that is not among the best.
    """
    behind = _best_behind(groups, taken, room, scores)
    number = itertools.count()
    start = behind[0][(0, *room)]
    if np.isneginf(start):
        return
    heap: list[tuple[float, int, int, int, Rooms, float, tuple[int, ...]]] = [
        (-float(start), next(number), 0, 0, room, 0.0, ())
    ]
    while heap:
        _, _, at, state, left, score, edges = heapq.heappop(heap)
        if at == len(groups):
            yield list(edges)
            continue
        group = groups[at]
        low, high = int(group.first[state]), int(group.first[state + 1])
        for edge in range(low, high):
            after = tuple(r - int(t) for r, t in zip(left, taken[at][:, edge], strict=True))
            if any(r < 0 for r in after):
                continue
            target = int(group.target[edge])
            best = behind[at + 1][(target, *after)]
            if not np.isneginf(best):
                now = score + float(scores[at][edge])
                entry = (-(now + float(best)), next(number), at + 1, target, after, now)
                heapq.heappush(heap, (*entry, (*edges, edge)))


def _best_behind(
    groups: list[Group],
    taken: list[NDArray[np.int64]],
    room: Rooms,
    scores: list[NDArray[np.float64]],
) -> list[NDArray[np.float64]]:
    shape = tuple(size + 1 for size in room)
    after = np.zeros((1, *shape))
    result = [after]
    for group, takes, score in zip(
        reversed(groups), reversed(taken), reversed(scores), strict=True
    ):
        before = np.full((len(group.first) - 1, *shape), -np.inf)
        for source, target, value, *take in zip(
            group.source.tolist(),
            group.target.tolist(),
            score.tolist(),
            *takes.tolist(),
            strict=True,
        ):
            if any(t >= size for t, size in zip(take, shape, strict=True)):
                continue
            left = tuple(slice(0, size - t) for t, size in zip(take, shape, strict=True))
            into = before[(source, *(slice(t, None) for t in take), ...)]
            np.maximum(into, value + after[(target, *left)], out=into)
        after = before
        result.append(after)
    result.reverse()
    return result
