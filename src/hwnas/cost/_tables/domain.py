"""Which combinations of choices are possible, and formulas as tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._tables.varying import (
    Axes,
    Varying,
    constant,
    distinct,
    simplified,
    spread,
    typed,
    union,
)
from hwnas.space import Arch, Decision, Expr
from hwnas.space.template import Op

CELLS = 1 << 22
"""The largest table that is made."""


class TooLargeError(Exception):
    """A table over these decisions would have too many cells."""

    def __init__(self, labels: Sequence[str], cells: int) -> None:
        super().__init__(f"a table over {', '.join(labels)} has {cells:,} cells")
        self.cells = cells


@dataclass(frozen=True, eq=False)
class Guard:
    """A condition under which something is done: true in the cells of `mask` over `axes`."""

    axes: Axes
    mask: NDArray[np.bool_]


Guards = tuple[Guard, ...]


class Domain:
    """The decisions of a space as axes of tables. Axis i belongs to `decisions[i]`."""

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self.decisions = tuple(decisions)
        self.choices = tuple(len(decision.choices) for decision in self.decisions)
        self.sizes = tuple(
            len(decision.choices) + (decision.condition is not True) for decision in self.decisions
        )
        self.column = {decision.label: i for i, decision in enumerate(self.decisions)}
        self._parents = [
            tuple(sorted(self.column[label] for label in decision.parents))
            for decision in self.decisions
        ]
        self._rules: dict[int, Guard] = {}
        self._guards: dict[tuple[Axes, bytes], Guard] = {}
        self._possible: dict[tuple[Axes, Guards], NDArray[np.bool_]] = {}
        self._formulas: dict[int, tuple[Expr, Varying]] = {}

    def shape(self, axes: Axes) -> tuple[int, ...]:
        """The shape of a table over `axes`.

        Raises:
            TooLargeError: it would have more than `CELLS` cells.
        """
        shape = tuple(self.sizes[axis] for axis in axes)
        if (cells := math.prod(shape)) > CELLS:
            raise TooLargeError([self.decisions[axis].label for axis in axes], cells)
        return shape

    def arch(self, codes: Sequence[int]) -> Arch:
        """The arch with these places on all axes."""
        chosen = zip(self.decisions, codes, strict=True)
        return {d.label: d.choices[place] for d, place in chosen if place < len(d.choices)}

    def rule(self, axis: int) -> Guard:
        """Where `axis` is taken exactly if its condition holds, over it and its parents."""
        if axis not in self._rules:
            condition = self.decisions[axis].condition
            taken = np.arange(self.sizes[axis]) < self.choices[axis]
            if isinstance(condition, Expr):
                holds = self.formula(condition)
                axes = union([holds.axes, (axis,)])
                now = spread(holds.where(bool), holds.axes, axes)
                mask = np.zeros(self.shape(axes), bool)
                mask |= now == spread(taken, (axis,), axes)
                self._rules[axis] = Guard(axes, mask)
            else:
                self._rules[axis] = Guard((axis,), taken if condition else ~taken)
        return self._rules[axis]

    def interned(self, guard: Guard) -> Guard:
        """The one guard of this mask, so that what is known of it is found again."""
        return self._guards.setdefault((guard.axes, guard.mask.tobytes()), guard)

    def closure(self, axes: Axes) -> Axes:
        """`axes` and all that their conditions rest on."""
        found: set[int] = set()
        todo = list(axes)
        while todo:
            axis = todo.pop()
            if axis not in found:
                found.add(axis)
                todo.extend(self._parents[axis])
        return tuple(sorted(found))

    def possible(self, axes: Axes, guards: Guards = ()) -> NDArray[np.bool_]:
        """The cells over `axes` that some arch has for which all `guards` hold."""
        key = axes, guards
        if key not in self._possible:
            self._possible[key] = self._project(axes, guards)
        return self._possible[key]

    def _project(self, axes: Axes, guards: Guards) -> NDArray[np.bool_]:
        inside = set(self.closure(axes))
        waiting = [(guard, set(self.closure(guard.axes))) for guard in guards]
        joined: list[Guard] = []
        while near := [pair for pair in waiting if pair[1] & inside]:
            for pair in near:
                waiting.remove(pair)
                joined.append(pair[0])
                inside |= pair[1]
        factors = joined + [self.rule(axis) for axis in inside]
        others = inside.difference(axes)
        while others:
            wide, axis = self.smallest(others, [f.axes for f in factors])
            others.remove(axis)
            mask = self._all([f for f in factors if axis in f.axes], wide)
            at = wide.index(axis)
            factors = [f for f in factors if axis not in f.axes]
            factors.append(Guard(wide[:at] + wide[at + 1 :], np.asarray(mask.any(at))))
        return self._all(factors, axes)

    def smallest(self, axes: Iterable[int], scopes: Sequence[Axes]) -> tuple[Axes, int]:
        """Which of `axes` ties the least together: all that its scopes name, and the axis."""

        def reach(axis: int) -> Axes:
            return union([(axis,), *(scope for scope in scopes if axis in scope)])

        axis = min(axes, key=lambda a: math.prod(self.sizes[b] for b in reach(a)))
        return reach(axis), axis

    def _all(self, factors: Sequence[Guard], axes: Axes) -> NDArray[np.bool_]:
        mask = np.ones(self.shape(axes), bool)
        for factor in factors:
            mask &= spread(factor.mask, factor.axes, axes)
        return mask

    def formula(self, expr: Expr) -> Varying:
        """The value of a formula; None where it needs a decision that is not taken."""
        known = self._formulas.get(id(expr))
        if known is not None:
            return known[1]
        if isinstance(expr, Op):
            args = [self.formula(a) if isinstance(a, Expr) else constant(a) for a in expr.args]
            symbol = expr.symbol
            result = self.apply(lambda *values: Op(symbol, *values).compute(_none), args)
        else:
            axis = self.column[expr.label]  # type: ignore[attr-defined]
            values = (*self.decisions[axis].choices, None)[: self.sizes[axis]]
            result = Varying((axis,), np.arange(self.sizes[axis]), values)
        self._formulas[id(expr)] = expr, result  # Holds the formula, so that its id stays its own.
        return result

    def combinations(
        self, args: Sequence[Varying], guards: Guards = ()
    ) -> tuple[Axes, NDArray[np.bool_], NDArray[np.int64], list[tuple[Any, ...]]]:
        """The different combinations of the values of `args` that are possible under `guards`.

        Returns:
            the axes they depend on, the cells that are possible, for each of these cells the
            number of its combination, and the combinations.
        """
        axes = union(arg.axes for arg in args)
        mask = self.possible(axes, guards)
        codes: Any = np.zeros((), np.int64)
        for arg in args:
            index = spread(arg.index, arg.axes, axes)
            mask = mask & (index >= 0)
            codes = codes * len(arg.values) + index
        codes = np.broadcast_to(codes, mask.shape)[mask]
        different, number = _numbered(codes, math.prod(len(arg.values) for arg in args))
        columns: list[list[Any]] = []
        for arg in reversed(args):
            different, places = np.divmod(different, len(arg.values))
            columns.append([arg.values[place] for place in places.tolist()])
        found = list(zip(*reversed(columns), strict=True)) if args else [()] * len(different)
        return axes, mask, number, found

    def apply(
        self,
        function: Callable[..., Any],
        args: Sequence[Varying],
        guards: Guards = (),
        key: Callable[[Any], Hashable] = typed,
    ) -> Varying:
        """`function` of the values of `args`, called once for each different combination."""
        axes, mask, number, found = self.combinations(args, guards)
        return gathered(axes, mask, number, [function(*values) for values in found], key)

    def implied(self, guard: Guard, guards: Guards) -> bool:
        """Whether `guard` holds wherever `guards` do."""
        return not (self.possible(guard.axes, guards) & ~guard.mask).any()


def gathered(
    axes: Axes,
    mask: NDArray[np.bool_],
    number: NDArray[np.int64],
    results: Sequence[Any],
    key: Callable[[Any], Hashable] = typed,
) -> Varying:
    """The results of the combinations (see `Domain.combinations`) as one varying value."""
    places, values = distinct(results, key)
    index = np.full(mask.shape, -1, np.int64)
    index[mask] = np.array(places, np.int64)[number]
    if len(values) < len(results) or len(values) <= 1:
        axes, index = simplified(axes, index)
    return Varying(axes, index, tuple(values))


def _numbered(codes: NDArray[np.int64], end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different codes, all from 0 to `end`, and for each code its place among them."""
    if end > 4 * codes.size + 1024:
        different, number = np.unique(codes, return_inverse=True)
        return different, number.reshape(-1)
    there = np.zeros(end, bool)
    there[codes] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[codes]


def _none(choice: object) -> None:
    return None
