"""Values that depend on a few decisions, as small tables over the places of their choices.

An axis of a table belongs to one decision of the space. It has a place for each choice and, if the
decision has a condition, a last one for "not taken", so that the -1 of an encoding is its last
place in Python and NumPy alike.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Axes: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Varying:
    """One of `values`, by the decisions `axes` (ascending): `index` is its place, -1 undefined."""

    axes: Axes
    index: NDArray[np.int64]
    values: tuple[Any, ...]

    def where(self, test: Callable[[Any], bool]) -> NDArray[np.bool_]:
        """The cells whose value passes `test`."""
        passes = np.array([bool(test(value)) for value in self.values] + [False])
        result: NDArray[np.bool_] = passes[self.index]
        return result

    def mapped(self, function: Callable[[Any], Any]) -> Varying:
        """`function` of each value."""
        places, values = distinct([function(value) for value in self.values], typed)
        axes, index = simplified(self.axes, np.array([*places, -1], np.int64)[self.index])
        return Varying(axes, index, tuple(values))


def constant(value: Any) -> Varying:
    """`value`, whatever is decided."""
    return Varying((), np.zeros((), np.int64), (value,))


def union(many: Iterable[Axes]) -> Axes:
    """All axes that occur, ascending."""
    return tuple(sorted(set().union(*many)))


def spread(array: NDArray[Any], axes: Axes, wider: Axes) -> NDArray[Any]:
    """`array` over `axes` with axes of length one put in, so that it broadcasts over `wider`."""
    if axes == wider:
        return array
    sizes = dict(zip(axes, array.shape, strict=True))
    return array.reshape([sizes.get(axis, 1) for axis in wider])


def distinct(values: Sequence[Any], key: Callable[[Any], Hashable]) -> tuple[list[int], list[Any]]:
    """For each value its place among the different ones, and these."""
    places: dict[Hashable, int] = {}
    found: list[Any] = []
    result = []
    for value in values:
        k = key(value)
        if k not in places:
            places[k] = len(found)
            found.append(value)
        result.append(places[k])
    return result, found


def typed(value: Any) -> Hashable:
    """A key by which 1, 1.0 and True differ; the object itself where it has no hash."""
    try:
        hash(value)
    except TypeError:
        return id(value)
    return type(value), value


def simplified(axes: Axes, index: NDArray[np.int64]) -> tuple[Axes, NDArray[np.int64]]:
    """The same places without the axes on which no defined cell depends."""
    kept = list(axes)
    at = 0
    while at < len(kept):
        highest = index.max(axis=at, keepdims=True)
        if ((index == highest) | (index < 0)).all():
            index = highest.squeeze(at)
            del kept[at]
        else:
            at += 1
    return tuple(kept), index
