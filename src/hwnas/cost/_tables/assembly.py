"""Events put together to a few tables whose sum is the cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._tables.domain import Domain
from hwnas.cost._tables.varying import Axes, simplified, spread, union
from hwnas.cost._tracing.interpreter import Event

Tables = dict[Axes, NDArray[np.float64]]
"""Tables over different decisions, of which a cost is the sum; NaN in cells that no arch has."""


def assembled(
    domain: Domain, events: Iterable[Event], amount: Callable[[Event], NDArray[np.int64]]
) -> Tables:
    """The sum over all events of `amount`, where their guards hold.

    Raises:
        TooLargeError: an event depends on too many decisions at once.
    """
    grouped: dict[tuple[object, ...], tuple[Event, NDArray[np.int64]]] = {}
    for event in events:
        key = event.axes, event.guards
        value = amount(event)
        if key in grouped:
            value = value + grouped[key][1]
        grouped[key] = event, value
    sums: dict[Axes, NDArray[np.int64]] = {}
    for event, value in grouped.values():
        if not value.any():
            continue
        axes = union([event.axes, *(guard.axes for guard in event.guards)])
        table = np.broadcast_to(spread(value, event.axes, axes), domain.shape(axes))
        for guard in event.guards:
            table = np.where(spread(guard.mask, guard.axes, axes), table, 0)
        _add(sums, *reduced(domain, axes, table))
    again: dict[Axes, NDArray[np.int64]] = {}
    for axes, table in sums.items():
        _add(again, *reduced(domain, axes, table))
    return {axes: table.astype(np.float64) for axes, table in again.items()}


def checked(domain: Domain, tables: Tables) -> Tables:
    """The same sum in fewer tables, with NaN in every cell that no arch has.

    Each decision is in a table together with those its condition names, so that the sum is NaN
    for what is no canonical arch.
    """
    rules: Tables = {}
    for axis in range(len(domain.sizes)):
        guard = domain.rule(axis)
        _add(rules, guard.axes, np.zeros(guard.mask.shape))
    merged = joined([tables, rules])
    return {
        axes: np.where(domain.possible(axes), np.nan_to_num(table), np.nan)
        for axes, table in merged.items()
    }


def joined(many: Iterable[Tables], together: np.ufunc = np.add) -> Tables:
    """The sum (or maximum) of many tables; one whose decisions are among another's joins it."""
    sums: Tables = {}
    for tables in many:
        for axes, table in tables.items():
            sums[axes] = together(sums[axes], table) if axes in sums else table
    result: Tables = {}
    for axes in sorted(sums, key=lambda axes: (-len(axes), axes)):
        inside = set(axes)
        wider = next((other for other in result if inside <= set(other)), None)
        if wider is None:
            result[axes] = sums[axes]
        else:
            result[wider] = together(result[wider], spread(sums[axes], axes, wider))
    return result


def _add(sums: dict[Axes, NDArray], axes: Axes, table: NDArray) -> None:  # type: ignore[type-arg]
    sums[axes] = sums[axes] + table if axes in sums else table


def reduced(domain: Domain, axes: Axes, table: NDArray[Any]) -> tuple[Axes, NDArray[Any]]:
    """Without the axes on which the table does not depend in any arch."""
    values, index = np.unique(table, return_inverse=True)
    index = np.where(domain.possible(axes), index.reshape(table.shape), -1)
    axes, index = simplified(axes, index)
    return axes, np.append(values, 0)[index]
