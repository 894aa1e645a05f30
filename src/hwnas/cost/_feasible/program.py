"""The dynamic program over a chain: how much weight lies behind each state and remaining room."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._feasible.lumps import Layer
from hwnas.cost._feasible.windows import Windows
from hwnas.errors import CostError

_FEW = 64
"""Rows up to which looking for equal ones takes longer than it saves."""


class Program:
    """For every state and every remaining room, the total weight of the ways to the end.

    Args:
        layers: the chain.
        takes: buckets that each edge takes of each limit, per layer of shape (limits, edges).
        room: buckets that there are at the start, from 0 up.
        weights: the weight of each edge, per layer.
        windows: of these.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        takes: Sequence[NDArray[np.int64]],
        room: Sequence[int],
        weights: Sequence[NDArray[np.float64]],
        windows: Windows,
    ) -> None:
        self.layers, self.takes, self.room, self.weights = layers, takes, tuple(room), weights
        self.windows = windows
        after = windows.empty(len(layers), np.float64, 1.0)
        self.after = [after]
        for at in range(len(layers) - 1, -1, -1):
            before = windows.empty(at, np.float64, 0.0)
            edges = windows.edges[at]
            weight = np.bincount(windows.edge[at], weights[at], edges.shape[1]).tolist()
            into, outof = windows.boxes(at, before), windows.boxes(at + 1, after)
            for (s, t), w, blocks in zip(
                edges[:2].T.tolist(), weight, windows.blocks(at), strict=True
            ):
                for here, there in blocks:
                    into[s][here] += w * outof[t][there]
            top = before.max()
            after = before / top if top > 0 else before
            self.after.append(after)
        self.after.reverse()

    @property
    def empty(self) -> bool:
        """Whether there is no way to the end at all."""
        start = np.array(self.room, np.int64)
        return bool(self.after[0][self.windows.place(0, np.array(0), start)] == 0)

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Paths drawn in proportion to their weight: an edge of each layer, (layers, count)."""
        edges = np.empty((len(self.layers), count), np.int64)
        state = np.zeros(count, np.int64)
        room = np.tile(np.array(self.room, np.int64)[:, None], (1, count))
        for at, layer in enumerate(self.layers):
            for s in np.unique(state).tolist():
                rows = np.flatnonzero(state == s)
                edges[at, rows] = self._edges(at, s, room[:, rows], rng)
            room -= self.takes[at][:, edges[at]]
            state = layer.target[edges[at]]
        return edges

    def _edges(
        self, at: int, state: int, room: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        layer = self.layers[at]
        low, high = layer.first[state], layer.first[state + 1]
        rooms, row = room, np.arange(room.shape[1])
        if room.shape[1] > _FEW:
            # Rows with the same room have the same choice of edges.
            rooms, row = np.unique(room, axis=1, return_inverse=True)
            row = row.reshape(-1)
        takes, weight = self.takes[at][:, low:high], self.weights[at][low:high]
        target = layer.target[low:high]
        chosen = np.empty(room.shape[1], np.int64)
        chunk = max(1, (1 << 22) // max(1, high - low))
        for start in range(0, rooms.shape[1], chunk):
            left = rooms[:, start : start + chunk, None] - takes[:, None, :]
            behind = self.after[at + 1][self.windows.place(at + 1, target, left)]
            behind = np.where((left >= 0).all(0), weight * behind, 0.0)
            total = np.cumsum(np.broadcast_to(behind, (left.shape[1], len(target))), axis=1)
            here = np.flatnonzero((row >= start) & (row < start + chunk))
            mass = total[row[here] - start]
            # Counted from the left, an edge without weight cannot be hit.
            point = rng.random(len(here)) * mass[:, -1]
            chosen[here] = (mass <= point[:, None]).sum(1)
        result: NDArray[np.int64] = low + np.minimum(chosen, high - low - 1)
        return result


def counted(layers: Sequence[Layer], room: Sequence[int], windows: Windows, bits: int) -> int:
    """The exact number of ways to the end, of which there are fewer than 2**bits.

    Counts are kept modulo several primes and put together (Chinese remainder theorem), so that
    machine integers are enough.
    """
    primes = _PRIMES[: bits // 61 + 1]
    if bits >= 61 * len(_PRIMES):
        raise CostError(f"the space is too large to count its archs: {bits} binary digits")
    rests = [_count_modulo(layers, room, windows, prime) for prime in primes]
    total, modulus = 0, 1
    for rest, prime in zip(rests, primes, strict=True):
        total += modulus * ((rest - total) * pow(modulus, -1, prime) % prime)
        modulus *= prime
    return total


def _count_modulo(
    layers: Sequence[Layer], room: Sequence[int], windows: Windows, prime: int
) -> int:
    after = windows.empty(len(layers), np.uint64, 1)
    modulus = np.uint64(prime)
    for at in range(len(layers) - 1, -1, -1):
        before = windows.empty(at, np.uint64, 0)
        edges = windows.edges[at]
        counts = np.zeros(edges.shape[1], np.int64)
        np.add.at(counts, windows.edge[at], layers[at].count)
        into, outof = windows.boxes(at, before), windows.boxes(at + 1, after)
        for (s, t), count, blocks in zip(
            edges[:2].T.tolist(), counts.tolist(), windows.blocks(at), strict=True
        ):
            for here, there in blocks:
                part = into[s][here]
                part += _times(outof[t][there], count, modulus)
                # Both were below the prime; unsigned wrap-around makes the other one larger.
                np.minimum(part, part - modulus, out=part)
        after = before
    return int(after[windows.place(0, np.array(0), np.array(room, np.int64))])


def _times(values: NDArray[np.uint64], count: int, modulus: np.uint64) -> NDArray[np.uint64]:
    """`count` (below 2**40) times numbers below the modulus (which is below 2**62)."""
    if count == 1:
        return values
    # The quotient is right within one; what is left then fits a word, wrapped around.
    quotient = (values.astype(np.float64) * (count / float(modulus))).astype(np.uint64)
    rest = values * np.uint64(count) - quotient * modulus
    rest += np.where(rest.view(np.int64) < 0, modulus, np.uint64(0))
    np.minimum(rest, rest - modulus, out=rest)
    return rest


_PRIMES = tuple(
    2**62 - k
    for k in (57, 87, 117, 143, 153, 167, 171, 195, 203, 273, 287, 317, 443, 483, 495, 575, 581)
)
"""The largest primes below 2**62."""
