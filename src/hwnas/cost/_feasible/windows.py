"""Which rooms matter in which state of a chain: a box of cells for each state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._feasible.lumps import Layer

Block: TypeAlias = tuple[tuple[Any, ...], tuple[Any, ...]]


class Windows:
    """For each state and limit the least and the most room to tell apart.

    There is never less room than is left after the dearest way to the state, nor more than after
    the cheapest, and what is more than the dearest way on takes is as good as unlimited.

    Args:
        layers: the chain.
        takes: buckets that each edge takes of each limit, per layer of shape (limits, edges).
        room: buckets that there are at the start.
        less: whether less room at the start matters too.

    Attributes:
        edges: the different edges of each layer, columns of (source, target, buckets taken).
        edge: which of them each edge of the layer is.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        takes: Sequence[NDArray[np.int64]],
        room: Sequence[int],
        *,
        less: bool = False,
    ) -> None:
        limits = len(room)
        found = [_different(layer, take) for layer, take in zip(layers, takes, strict=True)]
        self.edges = [edges for edges, _ in found]
        self.edge = [edge for _, edge in found]
        rooms = np.array(room, np.int64)[:, None]
        least, most = [np.zeros((limits, 1), np.int64)], [np.zeros((limits, 1), np.int64)]
        for layer, following, take in zip(layers, [*layers[1:], None], takes, strict=True):
            states = 1 if following is None else len(following.first) - 1
            low = np.full((limits, states), np.iinfo(np.int64).max // 2)
            high = np.zeros((limits, states), np.int64)
            for row in range(limits):
                np.minimum.at(low[row], layer.target, least[-1][row][layer.source] + take[row])
                np.maximum.at(high[row], layer.target, most[-1][row][layer.source] + take[row])
            least.append(low)
            most.append(high)
        ahead = np.zeros((limits, 1), np.int64)
        self.low: list[NDArray[np.int64]] = []
        self.high: list[NDArray[np.int64]] = []
        for at in range(len(layers), -1, -1):
            if at < len(layers):
                layer, take = layers[at], takes[at]
                through = take + ahead[:, layer.target]
                ahead = np.maximum.reduceat(through, layer.first[:-1], axis=1)
            high = np.maximum(np.minimum(ahead, rooms - least[at]), 0)
            self.high.append(high)
            self.low.append(np.clip(rooms - most[at], 0, 0 if less else high))
        self.low.reverse()
        self.high.reverse()
        sizes = [high - low + 1 for low, high in zip(self.low, self.high, strict=True)]
        self.shapes = [list(map(tuple, size.T.tolist())) for size in sizes]
        self.strides, self.starts = [], []
        for size in sizes:
            stride = np.ones_like(size)
            for row in range(limits - 2, -1, -1):
                stride[row] = stride[row + 1] * size[row + 1]
            self.strides.append(stride)
            self.starts.append(np.concatenate([[0], np.cumsum(size.prod(0))]))

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return sum(int(start[-1]) for start in self.starts)

    @property
    def work(self) -> int:
        """How many cells are read in one pass over all edges."""
        return sum(
            int(np.diff(start)[edges[0]].sum())
            for edges, start in zip(self.edges, self.starts, strict=False)
        )

    def empty(self, at: int, dtype: Any, value: float) -> NDArray[Any]:
        """The cells of all states before layer `at`, in one row."""
        return np.full(int(self.starts[at][-1]), value, dtype)

    def boxes(self, at: int, cells: NDArray[Any]) -> list[NDArray[Any]]:
        """The cells of each state, with a first axis of one and one for each limit; views."""
        starts = self.starts[at].tolist()
        return [
            cells[start:end].reshape(1, *shape)
            for start, end, shape in zip(starts[:-1], starts[1:], self.shapes[at], strict=True)
        ]

    def place(
        self, at: int, state: NDArray[np.int64], room: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The cells of states with so much room, (limits, ...) that broadcasts with `state`."""
        place = self.starts[at][state]
        for row in range(len(room)):
            low, high = self.low[at][row][state], self.high[at][row][state]
            place = place + (np.clip(room[row], low, high) - low) * self.strides[at][row][state]
        return place

    def blocks(self, at: int) -> Iterator[list[Block]]:
        """For each of the different edges: the parts of its source's box from which
        it can be taken, each with the part of its target's box that it leads to.
        """
        low, high = self.low[at].T.tolist(), self.high[at].T.tolist()
        below, above = self.low[at + 1].T.tolist(), self.high[at + 1].T.tolist()
        for source, target, *take in self.edges[at].T.tolist():
            blocks: list[Block] = [((...,), (...,))]
            for numbers in zip(
                take, low[source], high[source], below[target], above[target], strict=True
            ):
                spans = _spans(*numbers)
                blocks = [((*b, x), (*a, y)) for b, a in blocks for x, y in spans]
            yield blocks


def _spans(take: int, low: int, high: int, below: int, above: int) -> list[tuple[slice, slice]]:
    """Rooms from `low` to `high`, less `take`, as places between `below` and `above`."""
    spans = []
    start, end = max(low, take), min(high, take + above)
    if start <= end:
        spans.append(
            (
                slice(start - low, end - low + 1),
                slice(start - take - below, end - take - below + 1),
            )
        )
    start = max(low, take + above + 1)
    if start <= high:  # More room than can be taken.
        spans.append((slice(start - low, high - low + 1), slice(above - below, above - below + 1)))
    return spans


def _different(
    layer: Layer, takes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The different edges (source, target, takes), and which one each edge is."""
    edges = np.stack([layer.source, layer.target, *takes])
    number = np.zeros(edges.shape[1], np.int64)
    for row in edges:
        number = number * (int(row.max(initial=0)) + 1) + row
        _, number = np.unique(number, return_inverse=True)
        number = number.reshape(-1)
    _, first, inverse = np.unique(number, return_index=True, return_inverse=True)
    return edges[:, first], inverse.reshape(-1)
