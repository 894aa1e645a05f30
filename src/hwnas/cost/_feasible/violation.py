"""The arch that breaks limits the least."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._feasible.chain import chain
from hwnas.cost._feasible.limits import Limit
from hwnas.cost._feasible.lumps import Layer, every, lumped
from hwnas.cost._tables.assembly import Tables
from hwnas.cost._tables.domain import Domain
from hwnas.cost._tables.max_table import MaxTable
from hwnas.cost._tables.table import CostTable

_LABELS = 1 << 20
"""Beginnings that are followed at once; of more, the most promising ones."""
_STEPS = 60
_MULTIPLIERS = 8


@dataclass(frozen=True, eq=False)
class _Terms:
    """The violation as a sum of terms, each the largest excess of some rows, or 0.

    Attributes:
        sums, maxima: what the rows are of, in fractions of the limits.
        term: the term of each row, sums first.
        offset: the limit of each row.
        count: how many terms there are.
    """

    sums: list[Tables]
    maxima: list[list[Tables]]
    term: list[int]
    offset: NDArray[np.float64]
    count: int

    def violation(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """(rows, n) -> (n,)."""
        excess = rows - self.offset[:, None]
        total = np.zeros(rows.shape[1])
        for term in range(self.count):
            inside = [row for row, t in enumerate(self.term) if t == term]
            total += np.maximum(excess[inside].max(0), 0.0)
        return total


def least_violation(domain: Domain, limits: Sequence[Limit]) -> list[int]:
    """The places of an arch with the least sum of fractions by which it breaks limits.

    Exact unless more than a million beginnings of archs are both undominated and promising.

    Raises:
        TooLargeError: the decisions hang together too closely.
    """
    best: tuple[float, list[int]] = (math.inf, [])
    for terms in _alternatives(limits):
        groups = chain(domain, terms.sums, (), terms.maxima)
        layers = lumped(domain, groups)
        found = _searched(layers, terms, best[0])
        if found is not None:
            codes = next(every(layers, found[1], len(domain.sizes)))
            best = found[0], list(codes)
    return best[1]


def _alternatives(limits: Sequence[Limit]) -> list[_Terms]:
    """A maximum that is to reach a limit is short by what its best part is short by, so each part
    is tried for it.
    """
    ways = [
        range(len(cost.parts)) if isinstance(cost, MaxTable) and op == ">=" else range(1)
        for cost, op, _ in limits
    ]
    return [_terms(limits, way) for way in itertools.product(*ways)]


def _terms(limits: Sequence[Limit], way: Sequence[int]) -> _Terms:
    sums: list[tuple[int, Tables]] = []
    maxima: list[tuple[int, list[Tables]]] = []
    offsets = []
    for term, ((cost, op, limit), part) in enumerate(zip(limits, way, strict=True)):
        factor = (1 if op == "<=" else -1) / (abs(limit) or 1.0)
        offsets.append(limit * factor)
        if isinstance(cost, CostTable):
            sums.append((term, _scaled(cost.tables, factor)))
        elif isinstance(cost, MaxTable) and op == ">=":
            sums.append((term, _scaled(cost.parts[part], factor)))
        elif isinstance(cost, MaxTable):
            scaled = [_scaled(tables, factor) for tables in cost.parts]
            sums += [(term, tables) for tables in scaled if len(tables) > 1]
            if single := [tables for tables in scaled if len(tables) == 1]:
                maxima.append((term, single))
    term_of = [*(term for term, _ in sums), *(term for term, _ in maxima)]
    return _Terms(
        [tables for _, tables in sums],
        [parts for _, parts in maxima],
        term_of,
        np.array([offsets[term] for term in term_of]),
        len(limits),
    )


def _scaled(tables: Tables, factor: float) -> Tables:
    return {axes: table * factor for axes, table in tables.items()}


def _searched(
    layers: Sequence[Layer], terms: _Terms, below: float
) -> tuple[float, list[int]] | None:
    """The edges of a path with the least violation, if that is less than `below`.

    Labels that are no better than another in any row, or whose bound is no less than the best
    path known, are dropped.
    """
    count = len(terms.sums)
    weights, found = _multipliers(layers, terms)
    best: tuple[float, list[int]] | None = found if found[0] < below else None
    below = min(below, found[0])
    ahead = [_ahead(layers, weight)[0] for weight in (*np.eye(count), *weights)]
    state, rows = np.zeros(1, np.int64), np.zeros((len(terms.term), 1))
    rows[count:] = -np.inf
    trace: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for at, layer in enumerate(layers):
        degree = np.diff(layer.first)[state]
        label = np.repeat(np.arange(len(state)), degree)
        edge = np.arange(len(label)) - np.repeat(np.cumsum(degree) - degree, degree)
        edge += layer.first[state][label]
        rows = rows[:, label]
        rows[:count] += layer.costs[:count, edge]
        np.maximum(rows[count:], layer.costs[count:, edge], out=rows[count:])
        state = layer.target[edge]
        bound = _bound(terms, rows, [a[at + 1][state] for a in ahead], weights)
        kept = np.flatnonzero(bound < below * (1 - 1e-12) - 1e-300)
        if len(kept) > _LABELS:
            kept = kept[np.argpartition(bound[kept], _LABELS)[:_LABELS]]
        kept = kept[_undominated(state[kept], rows[:, kept])]
        state, rows = state[kept], rows[:, kept]
        trace.append((label[kept], edge[kept]))
        if len(kept) == 0:
            return best
    values = terms.violation(rows)
    place = int(values.argmin())
    if values[place] >= below:
        return best
    path = []
    value = float(values[place])
    for label, edge in reversed(trace):
        path.append(int(edge[place]))
        place = int(label[place])
    return value, path[::-1]


def _bound(
    terms: _Terms,
    rows: NDArray[np.float64],
    ahead: Sequence[NDArray[np.float64]],
    weights: Sequence[NDArray[np.float64]],
) -> NDArray[np.float64]:
    """No way on has a smaller violation: each row's cheapest way for itself, or the cheapest way
    for weighted rows.
    """
    count = len(terms.sums)
    alone = rows.copy()
    alone[:count] += ahead[:count]
    bound = terms.violation(alone)
    for weight, cheapest in zip(weights, ahead[count:], strict=True):
        total = weight @ (rows[:count] - terms.offset[:count, None]) + cheapest
        for row in range(count, len(rows)):  # Maxima beside the sums.
            total += np.maximum(rows[row] - terms.offset[row], 0.0) * (
                not any(weight[r] for r in range(count) if terms.term[r] == terms.term[row])
            )
        np.maximum(bound, total, out=bound)
    return bound


def _multipliers(
    layers: Sequence[Layer], terms: _Terms
) -> tuple[list[NDArray[np.float64]], tuple[float, list[int]]]:
    """Weights of the sums with high lower bounds, and the best path on the way (subgradient ascent:
    Held, Wolfe and Crowder, Mathematical Programming 1974).

    Sums of one term share a weight of at most one.
    """
    count = len(terms.sums)
    share = np.array([1 / terms.term[:count].count(term) for term in terms.term[:count]])
    weight = share.copy()
    found: list[tuple[float, NDArray[np.float64]]] = []
    best: tuple[float, list[int]] = (math.inf, [])
    for step in range(_STEPS if count else 1):
        _, path = _ahead(layers, weight)
        rows = np.zeros((len(terms.term), 1))
        rows[count:] = -np.inf
        for layer, edge in zip(layers, path, strict=True):
            rows[:count, 0] += layer.costs[:count, edge]
            np.maximum(rows[count:, 0], layer.costs[count:, edge], out=rows[count:, 0])
        best = min(best, (float(terms.violation(rows)[0]), path), key=lambda pair: pair[0])
        excess = rows[:count, 0] - terms.offset[:count]
        found.append((float(weight @ excess), weight))
        length = float(np.abs(excess).max(initial=0.0))
        if length == 0:
            break
        weight = np.clip(weight + excess / length * (0.5 / (1 + step / 4)), 0, share)
    found.sort(key=lambda pair: -pair[0])
    return [weight for _, weight in found[:_MULTIPLIERS]] if count else [], best


def _ahead(
    layers: Sequence[Layer], weight: NDArray[np.float64]
) -> tuple[list[NDArray[np.float64]], list[int]]:
    """The least weighted sum from each state on, per layer, and the edges of the cheapest way."""
    ahead = [np.zeros(1)]
    throughs = []
    for layer in reversed(layers):
        through = weight @ layer.costs[: len(weight)] + ahead[-1][layer.target]
        throughs.append(through)
        ahead.append(np.minimum.reduceat(through, layer.first[:-1]))
    ahead.reverse()
    state, path = 0, []
    for layer, through in zip(layers, reversed(throughs), strict=True):
        first, end = int(layer.first[state]), int(layer.first[state + 1])
        path.append(first + int(through[first:end].argmin()))
        state = int(layer.target[path[-1]])
    return ahead, path


def _undominated(state: NDArray[np.int64], rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which labels to keep: for two rows those that no other of their state beats, else one of
    each.
    """
    if len(state) == 0:
        return np.zeros(0, np.int64)
    order = np.lexsort((*rows[::-1], state))
    state, rows = state[order], rows[:, order]
    new = np.concatenate([[True], state[1:] != state[:-1]])
    if len(rows) <= 2:
        # Within a state the first row ascends, so the last must fall below all before.
        _, rank = np.unique(rows[-1], return_inverse=True)
        group = np.cumsum(new)
        key = rank.reshape(-1) - group * (len(state) + 1)
        lowest = np.minimum.accumulate(key)
        kept = np.concatenate([[True], key[1:] < lowest[:-1]])
    else:
        kept = np.concatenate([[True], (rows[:, 1:] != rows[:, :-1]).any(0)])
    result: NDArray[np.int64] = order[new | kept]
    return result
