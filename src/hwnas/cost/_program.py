"""The dynamic program over a chain: how much weight lies behind each state and remaining room."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._chain import Group
from hwnas.errors import CostError

Rooms = tuple[int, ...]
"""Buckets that are left of each limit."""


class Program:
    """For every state and every remaining room, the total weight of the ways to the end.

    Args:
        groups: the chain.
        taken: buckets that each edge takes of each limit, per group of shape (limits, edges).
        room: buckets that there are at the start.
        weights: the weight of each edge, per group.
    """

    def __init__(
        self,
        groups: list[Group],
        taken: list[NDArray[np.int64]],
        room: Rooms,
        weights: list[NDArray[np.float64]],
    ) -> None:
        self.groups, self.taken, self.room, self.weights = groups, taken, room, weights
        shape = tuple(size + 1 for size in room)
        after = np.ones((1, *shape))
        self.after = [after]
        for group, takes, weight in zip(
            reversed(groups), reversed(taken), reversed(weights), strict=True
        ):
            before = _backwards(group, takes, weight, after, shape)
            top = before.max()
            after = before / top if top > 0 else before
            self.after.append(after)
        self.after.reverse()

    @property
    def empty(self) -> bool:
        """Whether there is no way to the end at all."""
        return bool(self.after[0][(0, *self.room)] == 0)

    def draw(self, count: int, rng: np.random.Generator, columns: int) -> NDArray[np.int64]:
        """Ways drawn in proportion to their weight: the places of all decisions, per row."""
        codes = np.zeros((count, columns), np.int64)
        state = np.zeros(count, np.int64)
        room = np.tile(np.array(self.room, np.int64)[:, None], (1, count))
        for number, group in enumerate(self.groups):
            edge = np.empty(count, np.int64)
            for s in np.unique(state).tolist():
                rows = np.flatnonzero(state == s)
                edge[rows] = self._edges(number, s, room[:, rows], rng)
            codes[:, list(group.made)] = group.codes[edge]
            room -= self.taken[number][:, edge]
            state = group.target[edge]
        return codes

    def _edges(
        self, number: int, state: int, room: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        group = self.groups[number]
        low, high = group.first[state], group.first[state + 1]
        # Rows with the same room have the same choice of edges.
        rooms, row = np.unique(room, axis=1, return_inverse=True)
        row = row.reshape(-1)
        takes, weight = self.taken[number][:, low:high], self.weights[number][low:high]
        target = group.target[low:high]
        chosen = np.empty(room.shape[1], np.int64)
        chunk = max(1, (1 << 22) // max(1, high - low))
        for start in range(0, rooms.shape[1], chunk):
            left = rooms[:, start : start + chunk, None] - takes[:, None, :]
            inside = (left >= 0).all(0)
            behind = self.after[number + 1][(target[None, :], *np.maximum(left, 0))]
            total = np.cumsum(np.where(inside, weight * behind, 0.0), axis=1)
            here = np.flatnonzero((row >= start) & (row < start + chunk))
            mass = total[row[here] - start]
            # Counted from the left, an edge without weight cannot be hit.
            point = rng.random(len(here)) * mass[:, -1]
            chosen[here] = (mass <= point[:, None]).sum(1)
        result: NDArray[np.int64] = low + np.minimum(chosen, high - low - 1)
        return result


def _backwards(
    group: Group,
    takes: NDArray[np.int64],
    weight: NDArray[np.float64],
    after: NDArray[np.float64],
    shape: tuple[int, ...],
) -> NDArray[np.float64]:
    before = np.zeros((len(group.first) - 1, *shape))
    for source, target, w, *take in zip(
        group.source.tolist(), group.target.tolist(), weight.tolist(), *takes.tolist(), strict=True
    ):
        if any(t >= size for t, size in zip(take, shape, strict=True)):
            continue
        left = tuple(slice(0, size - t) for t, size in zip(take, shape, strict=True))
        room = tuple(slice(t, None) for t in take)
        before[(source, *room)] += w * after[(target, *left)]
    return before


def counted(groups: list[Group], taken: list[NDArray[np.int64]], room: Rooms, bits: int) -> int:
    """The exact number of ways to the end, of which there are fewer than 2**bits.

    Counts are kept modulo several primes and put together (Chinese remainder theorem), so that
    machine integers are enough.
    """
    if any(size < 0 for size in room):
        return 0
    primes = _PRIMES[: bits // 61 + 1]
    if bits >= 61 * len(_PRIMES):
        raise CostError(f"the space is too large to count its archs: {bits} binary digits")
    rests = [_count_modulo(groups, taken, room, prime) for prime in primes]
    total, modulus = 0, 1
    for rest, prime in zip(rests, primes, strict=True):
        total += modulus * ((rest - total) * pow(modulus, -1, prime) % prime)
        modulus *= prime
    return total


def _count_modulo(
    groups: list[Group], taken: list[NDArray[np.int64]], room: Rooms, prime: int
) -> int:
    shape = tuple(size + 1 for size in room)
    after = np.ones((1, *shape), np.uint64)
    modulus = np.uint64(prime)
    for group, takes in zip(reversed(groups), reversed(taken), strict=True):
        before = np.zeros((len(group.first) - 1, *shape), np.uint64)
        for source, target, *take in zip(
            group.source.tolist(), group.target.tolist(), *takes.tolist(), strict=True
        ):
            if any(t >= size for t, size in zip(take, shape, strict=True)):
                continue
            left = tuple(slice(0, size - t) for t, size in zip(take, shape, strict=True))
            into = before[(source, *(slice(t, None) for t in take), ...)]
            into += after[(target, *left)]
            # Both were below the prime; unsigned wrap-around makes the other case the larger one.
            np.minimum(into, into - modulus, out=into)
        after = before
    return int(after[(0, *room)])


_PRIMES = tuple(
    2**62 - k
    for k in (57, 87, 117, 143, 153, 167, 171, 195, 203, 273, 287, 317, 443, 483, 495, 575, 581)
)
"""The largest primes below 2**62."""
