"""The decisions in a row of groups, so that few of them tie what comes to what was.

A *frontier* is the set of decisions already made that later tables or conditions still need. Its
possible values are the states between two groups; an edge is one way through a group, from the
state before to the state after.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._tables.assembly import Tables
from hwnas.cost._tables.domain import Domain, Guard, TooLargeError
from hwnas.cost._tables.varying import Axes, spread, union

EDGES = 400_000
"""The most edges that a group may have."""

_LEVEL = 20_000
"""The most edges of a group of several decisions."""
_STATE, _GROUP = 20, 500
"""What a state and a group cost beside their edges, in edges."""
_STARTS = 12


@dataclass(frozen=True, eq=False)
class Group:
    """The edges of one group, in the order of the states they leave.

    Attributes:
        made: the decisions of the group.
        codes: their places on each edge, shape (edges, len(made)).
        source, target: the states before and after, numbered from 0.
        first: where the edges of each source begin, and their number at the end.
        states: how many states there are after the group.
        costs: for each cost of the chain, what the edge adds to it, shape (costs, edges).
    """

    made: Axes
    codes: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    first: NDArray[np.int64]
    states: int
    costs: NDArray[np.float64]

    def weights(self, domain: Domain, distribution: str) -> NDArray[np.float64]:
        """The probability of the choices on each edge, or a weight of one for `archs`."""
        weights = np.ones(len(self.source))
        if distribution == "decisions":
            for column, axis in enumerate(self.made):
                places = domain.choices[axis]
                weights[self.codes[:, column] < places] /= places
        return weights


def chain(
    domain: Domain,
    costs: Sequence[Tables],
    guards: Sequence[Guard] = (),
    maxima: Sequence[Sequence[Tables]] = (),
) -> list[Group]:
    """The groups for these costs, where all guards hold; none of them has an edge if no arch is so.

    What an edge raises each of the maxima to stands behind what it adds to the costs.

    Raises:
        TooLargeError: the decisions hang together too closely; `cells` is the size.
    """
    rules = [domain.rule(axis).axes for axis in range(len(domain.sizes))]
    scopes = {tuple(axes) for tables in costs for axes in tables if axes} | set(rules)
    scopes |= {guard.axes for guard in guards if guard.axes}
    scopes |= {axes for parts in maxima for part in parts for axes in part if axes}
    order, reaches = _ordered(domain, scopes)
    position = {axis: i for i, axis in enumerate(order)}
    groups = []
    frontier: Axes = ()
    states = _States(domain, ())
    start = 0
    for end in _cuts(domain, order, reaches):
        made = tuple(sorted(order[start:end]))
        wide = union([frontier, made])
        following = reaches[end]
        mask = domain.possible(wide)
        for guard in guards:
            last = max((position[a] for a in guard.axes), default=0)
            if start <= last < end:
                mask = mask & spread(guard.mask, guard.axes, wide)
        cells = np.argwhere(mask)
        if len(cells) > EDGES:
            raise TooLargeError([domain.decisions[a].label for a in wide], len(cells))
        after = _States(domain, following)
        columns = {axis: cells[:, i] for i, axis in enumerate(wide)}
        source, target = states.number(columns, len(cells)), after.number(columns, len(cells))
        sums = np.zeros((len(costs), len(cells)))
        tops = np.full((len(maxima), len(cells)), -np.inf)
        joins = [
            *((row, tables, np.add) for row, tables in zip(sums, costs, strict=True)),
            *(
                (row, part, np.maximum)
                for row, parts in zip(tops, maxima, strict=True)
                for part in parts
            ),
        ]
        for row, tables, together in joins:
            for axes, table in tables.items():
                last = max((position[a] for a in axes), default=0)
                if start <= last < end:
                    cell = np.broadcast_to(spread(np.nan_to_num(table), axes, wide), mask.shape)
                    together(row, cell[mask], out=row)
        by_source = np.argsort(source, kind="stable")
        groups.append(
            Group(
                made,
                np.stack([columns[axis] for axis in made], 1)[by_source],
                source[by_source],
                target[by_source],
                np.searchsorted(source[by_source], np.arange(states.count + 1)),
                after.count,
                np.concatenate([sums, tops])[:, by_source],
            )
        )
        frontier, states, start = following, after, end
    return _alive(groups) if guards else groups


def _alive(groups: list[Group]) -> list[Group]:
    """The groups without what is on no way from the start to the end."""
    before = [np.ones(1, bool)]
    for group in groups:
        reached = np.zeros(group.states, bool)
        reached[group.target[before[-1][group.source]]] = True
        before.append(reached)
    result: list[Group] = []
    after = before[-1]
    for group, reached in zip(reversed(groups), reversed(before[:-1]), strict=True):
        kept = reached[group.source] & after[group.target]
        goes = np.zeros(len(reached), bool)
        goes[group.source[kept]] = True
        source = (np.cumsum(goes) - 1)[group.source[kept]]
        result.append(
            replace(
                group,
                codes=group.codes[kept],
                source=source,
                target=(np.cumsum(after) - 1)[group.target[kept]],
                first=np.searchsorted(source, np.arange(goes.sum() + 1)),
                states=int(after.sum()),
                costs=group.costs[:, kept],
            )
        )
        after = goes
    return result[::-1]


class _States:
    """The possible combinations of a frontier, numbered."""

    def __init__(self, domain: Domain, axes: Axes) -> None:
        self.axes = axes
        self._sizes = [domain.sizes[axis] for axis in axes]
        mask = domain.possible(axes).ravel()
        self._number = np.cumsum(mask) - 1
        self.count = int(mask.sum())

    def number(self, columns: dict[int, NDArray[np.int64]], rows: int) -> NDArray[np.int64]:
        flat = np.zeros(rows, np.int64)
        for axis, size in zip(self.axes, self._sizes, strict=True):
            flat = flat * size + columns[axis]
        result: NDArray[np.int64] = self._number[flat]
        return result


def _ordered(domain: Domain, scopes: Iterable[Axes]) -> tuple[list[int], list[Axes]]:
    """An order of the decisions with small frontiers, and the frontier before each and at the end.

    Greedy: that member of the frontier is closed next around which the least is open, by the
    neighbour around which the least is open; the best of several beginnings.
    """
    count = len(domain.sizes)
    near = [0] * count
    for axes in scopes:
        scope = sum(1 << axis for axis in axes)
        for axis in axes:
            near[axis] |= scope
    weight = [math.log(size) for size in domain.sizes]
    degrees = sorted(range(count), key=lambda a: (near[a].bit_count(), a))
    starts = [*degrees[: _STARTS // 2], *range(0, count, max(1, 2 * count // _STARTS))]
    best: tuple[float, list[int], list[int]] = (math.inf, [], [])
    for start in dict.fromkeys(starts):
        best = min(best, _greedy(near, weight, start), key=lambda found: found[0])
    return best[1], [_axes(frontier) for frontier in best[2]]


def _greedy(near: list[int], weight: list[float], start: int) -> tuple[float, list[int], list[int]]:
    done, frontier, work = 0, 0, 0.0
    order: list[int] = []
    frontiers = [0]

    def open_around(axis: int) -> float:
        return sum(weight[a] for a in _axes(near[axis] & ~done & ~(1 << axis)))

    while len(order) < len(near):
        if frontier:
            member = min(_axes(frontier), key=lambda a: (open_around(a), a))
            candidates = _axes(near[member] & ~done)
            axis = min(candidates, key=lambda a: (open_around(a), a))
        else:
            left = [a for a in range(len(near)) if not done >> a & 1]
            axis = start if start in left else min(left, key=lambda a: (open_around(a), a))
        done |= 1 << axis
        members = _axes(frontier | 1 << axis)
        work += math.exp(min(sum(weight[a] for a in members), 50))
        frontier = sum(1 << a for a in members if near[a] & ~done)
        order.append(axis)
        frontiers.append(frontier)
    return work, order, frontiers


def _axes(members: int) -> Axes:
    found = []
    while members:
        low = members & -members
        found.append(low.bit_length() - 1)
        members ^= low
    return tuple(found)


def _cuts(domain: Domain, order: list[int], frontiers: list[Axes]) -> list[int]:
    """Where groups end, so that edges, states and the number of groups are small together."""
    states = [math.prod(domain.sizes[a] for a in axes) for axes in frontiers]
    best = [0.0] + [math.inf] * len(order)
    begins = [0] * len(best)
    for start in range(len(order)):
        edges = states[start]
        for end in range(start + 1, len(best)):
            edges *= domain.sizes[order[end - 1]]
            if edges > _LEVEL and end > start + 1:
                break
            cost = best[start] + edges + _STATE * states[end] + _GROUP
            if cost < best[end]:
                best[end], begins[end] = cost, start
    cuts = []
    end = len(order)
    while end:
        cuts.append(end)
        end = begins[end]
    return cuts[::-1]
