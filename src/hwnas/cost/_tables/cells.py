"""The cells that archs take of several tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._tables.domain import Domain
from hwnas.cost._tables.varying import Axes
from hwnas.errors import ArchError

if TYPE_CHECKING:
    from hwnas.space import Value

Rows: TypeAlias = Sequence[tuple[Axes, NDArray[np.float64]]]

_ROWS = 8192


class Cells:
    """The cells of all tables in one array, so that those of an arch are one product away.

    Each decision must be in a table.
    """

    def __init__(self, domain: Domain, tables: Rows) -> None:
        self._places: dict[tuple[str, type, Value], tuple[int, int]] = {
            (decision.label, type(value), value): (column, place)
            for column, decision in enumerate(domain.decisions)
            for place, value in enumerate(decision.choices)
        }
        # A decision that must be taken and is not leads far beyond the last cell.
        sizes = np.array(domain.sizes, np.float64)
        self._absent = np.where(sizes > domain.choices, sizes - 1, 1e12)
        self._strides = np.zeros((len(tables), len(domain.sizes)))
        for row, (axes, _) in zip(self._strides, tables, strict=True):
            step = 1
            for axis in reversed(axes):
                row[axis] = step
                step *= domain.sizes[axis]
        lengths = [table.size for _, table in tables]
        self._starts = np.cumsum([0, *lengths[:-1]], dtype=np.float64)[: len(tables)]
        self._cells = np.concatenate([np.zeros(0), *(table.ravel() for _, table in tables)])

    def of(self, arch: Mapping[str, Value]) -> NDArray[np.float64] | None:
        """One cell of each table; None for what is certainly no canonical arch."""
        codes = self._absent.copy()
        try:
            for label, value in arch.items():
                column, place = self._places[label, type(value), value]
                codes[column] = place
            cells: NDArray[np.float64] = self._cells[
                (self._strides @ codes + self._starts).astype(np.intp)
            ]
        except (KeyError, IndexError):
            return None
        return cells


def places(
    domain: Domain, encoded: NDArray[np.float64]
) -> Iterator[tuple[slice, NDArray[np.int32]]]:
    """Some rows of `space.encode` at a time, as places on the axes: (decisions, rows).

    Raises:
        ArchError: the encoding has a wrong shape, or a place that no choice has.
    """
    encoded = np.asarray(encoded)
    if encoded.ndim != 2 or encoded.shape[1] != len(domain.sizes):
        width = len(domain.sizes)
        raise ArchError(f"an encoding has shape (n, {width}), not {encoded.shape}")
    last = np.array(domain.sizes, np.int32)[:, None] - 1
    least = np.array(domain.choices, np.int32)[:, None] - 1 - last
    for start in range(0, len(encoded), _ROWS):
        codes = encoded[start : start + _ROWS].T.astype(np.int32)
        if (codes > last).any() or (codes < least).any():
            raise ArchError("an encoding holds a place that no choice has")
        np.copyto(codes, last, where=codes < 0)
        yield slice(start, start + _ROWS), codes


def added(domain: Domain, tables: Rows, codes: NDArray[np.int32]) -> NDArray[np.float64]:
    """The sums of the cells of all tables at these places: (decisions, rows) -> (rows,)."""
    total = np.zeros(codes.shape[1])
    for axes, table in tables:
        flat = np.zeros(codes.shape[1], np.int32)
        for axis in axes:
            flat *= domain.sizes[axis]
            flat += codes[axis]
        total += table.ravel()[flat]
    return total
