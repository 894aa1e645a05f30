"""A chain in fewer states: those from which the same costs can follow are one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._feasible.chain import Group
from hwnas.cost._tables.domain import Domain


@dataclass(frozen=True, eq=False)
class Layer:
    """The edges of one group between lumps of states, in the order of the lumps they leave.

    Attributes:
        source, target: the lumps before and after, numbered from 0.
        first: where the edges of each source begin, and their number at the end.
        costs: for each cost of the chain, what the edge adds to it, shape (costs, edges).
        chance: the probability of the choices of one way that an edge stands for.
        count: of how many ways of the group, from any one state, an edge stands for.
        group: the group itself.
        order, keys: its edges by the state they leave and the edge here that stands for them.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    first: NDArray[np.int64]
    costs: NDArray[np.float64]
    chance: NDArray[np.float64]
    count: NDArray[np.int64]
    group: Group
    order: NDArray[np.int64]
    keys: NDArray[np.int64]

    def weights(self, distribution: str) -> NDArray[np.float64]:
        """The probability of all ways of each edge together, or their number for `archs`."""
        ways = self.count.astype(np.float64)
        return ways * self.chance if distribution == "decisions" else ways

    def ways(
        self, state: NDArray[np.int64], edge: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where in `order` the ways begin and end that an edge stands for, from each state."""
        key = state * len(self.source) + edge
        return np.searchsorted(self.keys, key), np.searchsorted(self.keys, key, "right")


def lumped(domain: Domain, groups: Sequence[Group]) -> list[Layer]:
    """Layers for all groups (Kemeny and Snell, Finite Markov Chains, 1960, section 6.3).

    States are in one lump if the same number of edges of each cost and chance leads from them to
    each lump that follows.
    """
    layers: list[Layer] = []
    lump = np.zeros(1, np.int64)
    for group in reversed(groups):
        chance = group.weights(domain, "decisions")
        kind = _numbered([lump[group.target], *group.costs, chance])
        before = _alike(group, kind)
        pair = before[group.source] * (kind.max(initial=0) + 1) + kind
        _, first, edge, total = np.unique(
            pair, return_index=True, return_inverse=True, return_counts=True
        )
        edge = edge.reshape(-1)
        source = before[group.source[first]]
        keys = group.source * len(first) + edge
        order = np.argsort(keys, kind="stable")
        layers.append(
            Layer(
                source,
                lump[group.target[first]],
                np.searchsorted(source, np.arange(before.max(initial=-1) + 2)),
                group.costs[:, first],
                chance[first],
                total // np.bincount(before)[source],
                group,
                order,
                keys[order],
            )
        )
        lump = before
    return layers[::-1]


def drawn(
    layers: Sequence[Layer], edges: NDArray[np.int64], rng: np.random.Generator, columns: int
) -> NDArray[np.int64]:
    """Ways through the groups that paths stand for, each as likely: (layers, n) -> places."""
    codes = np.zeros((edges.shape[1], columns), np.int64)
    state = np.zeros(edges.shape[1], np.int64)
    for layer, edge in zip(layers, edges, strict=True):
        low, high = layer.ways(state, edge)
        way = layer.order[low + (rng.random(len(low)) * (high - low)).astype(np.int64)]
        codes[:, list(layer.group.made)] = layer.group.codes[way]
        state = layer.group.target[way]
    return codes


def every(layers: Sequence[Layer], edges: Sequence[int], columns: int) -> Iterator[list[int]]:
    """The places of all ways through the groups that one path stands for."""
    codes = [0] * columns

    def onwards(at: int, state: int) -> Iterator[list[int]]:
        if at == len(layers):
            yield list(codes)
            return
        layer = layers[at]
        low, high = layer.ways(np.array([state]), np.array([edges[at]]))
        for way in layer.order[low[0] : high[0]].tolist():
            for axis, place in zip(layer.group.made, layer.group.codes[way].tolist(), strict=True):
                codes[axis] = place
            yield from onwards(at + 1, int(layer.group.target[way]))

    return onwards(0, 0)


def _numbered(columns: Sequence[NDArray[np.generic]]) -> NDArray[np.int64]:
    """The same number for equal rows."""
    number = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        _, place = np.unique(column, return_inverse=True)
        number = number * (int(place.max(initial=0)) + 1) + place.reshape(-1)
        _, number = np.unique(number, return_inverse=True)
    return number.reshape(-1)


def _alike(group: Group, kind: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lump of each source: alike are those with the same kinds of edges."""
    inside = kind[np.lexsort((kind, group.source))]
    degrees = np.diff(group.first)
    lump = np.zeros(len(degrees), np.int64)
    count = 0
    for degree in np.unique(degrees).tolist():
        states = np.flatnonzero(degrees == degree)
        rows = inside[group.first[states][:, None] + np.arange(degree)]
        if len(states) > 1:
            _, number = np.unique(rows, axis=0, return_inverse=True)
            lump[states] = count + number.reshape(-1)
        else:
            lump[states] = count
        count = int(lump[states].max()) + 1
    return lump
