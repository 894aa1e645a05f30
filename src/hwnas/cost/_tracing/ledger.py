"""Events of holding put together to sums of tables whose maximum is the peak."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._tables.assembly import Tables, joined, reduced
from hwnas.cost._tables.domain import Domain, Guard, Guards
from hwnas.cost._tables.maxima import one_table
from hwnas.cost._tables.varying import Axes, spread, union
from hwnas.cost._tracing.holding import Dropped, Held, Made, Ran, Scope

_JOINED = 1 << 14
"""Cells up to which the storages that one tensor may lie in become one table."""


def peak_parts(domain: Domain, events: Iterable[object]) -> list[Tables]:
    """Sums of tables, one for each moment that may be the peak.

    Outside of the guards of its call, a part is what was held already when its branch was
    entered, which is no more than the peak there.

    Raises:
        TooLargeError: what is held depends on too many decisions at once.
    """
    ledger = _Ledger(domain)
    for event in events:
        if isinstance(event, Held):
            ledger.hold(event)
        elif isinstance(event, Dropped):
            ledger.drop(event.token)
        elif isinstance(event, Ran):
            ledger.ran(event)
    return ledger.parts()


class _Storage:
    """Bytes by the decisions, and who holds them in which cells (None: in all where they are)."""

    __slots__ = ("axes", "holders", "table")

    def __init__(self, axes: Axes, table: NDArray[np.float64]) -> None:
        self.axes = axes
        self.table = table
        self.holders: dict[int, Guard | None] = {}


@dataclass(frozen=True, eq=False)
class _Moment:
    """Calls at which the same storages are held: these, and the most beyond them."""

    held: list[tuple[Axes, NDArray[np.float64]]]
    extra: Tables


class _Ledger:
    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self._made: dict[Made, _Storage] = {}
        self._held: dict[int, list[_Storage]] = {}
        self._scopes: dict[int, Scope] = {}
        self._moments: dict[frozenset[int], _Moment] = {}

    def hold(self, event: Held) -> None:
        held = self._held[event.token] = []
        self._scopes[event.token] = event.scope
        for source, guard in event.sources:
            if isinstance(source, Made):
                storage = self._made.get(source)
                if storage is None:
                    table = self._masked(source.axes, source.size, source.guards)
                    storage = self._made[source] = _Storage(*table)
                self._add(held, event.token, storage, guard)
                continue
            for storage in list(self._held.get(source, ())):
                self._add(held, event.token, storage, self._both(storage.holders[source], guard))

    def _add(
        self, held: list[_Storage], token: int, storage: _Storage, guard: Guard | None
    ) -> None:
        if guard is not None:
            inside, outside = self._sides(storage, guard)
            if not inside:
                return
            guard = guard if outside else None
        if storage in held:
            guard = self._either([storage.holders[token], guard])
        else:
            held.append(storage)
        storage.holders[token] = guard

    def drop(self, token: int) -> None:
        touched: dict[int, None] = {}
        self._scopes.pop(token, None)
        for storage in self._held.pop(token, ()):
            del storage.holders[token]
            guard = self._either(list(storage.holders.values()))
            if storage.holders and guard is not None:
                # Nobody can ask for it elsewhere any more.
                storage.axes, storage.table = self._masked(storage.axes, storage.table, (guard,))
                for holder, where in storage.holders.items():
                    if where is not None and not self._sides(storage, where)[1]:
                        storage.holders[holder] = None
            touched |= dict.fromkeys(storage.holders)
        for holder in touched:
            self._merge(holder)

    def _merge(self, token: int) -> None:
        """Storages of one tensor, which exclude each other, as one."""
        groups: dict[frozenset[int], list[_Storage]] = {}
        for storage in self._held[token]:
            if all(guard is None for guard in storage.holders.values()):
                groups.setdefault(frozenset(storage.holders), []).append(storage)
        for holders, group in groups.items():
            axes = union(storage.axes for storage in group)
            cells = math.prod(self.domain.sizes[axis] for axis in axes)
            if len(group) == 1 or cells > _JOINED:
                continue
            total = np.zeros(self.domain.shape(axes))
            for storage in group:
                total = total + spread(storage.table, storage.axes, axes)
            merged = _Storage(*reduced(self.domain, axes, total))
            merged.holders = dict.fromkeys(holders)
            for holder in holders:
                rest = [storage for storage in self._held[holder] if storage not in group]
                self._held[holder] = [*rest, merged]

    def ran(self, event: Ran) -> None:
        """Note the moment of a call; what another branch has left does not belong to it."""
        live: dict[int, _Storage] = {}
        scope = event.scope
        for token, held in self._held.items():
            outer = self._scopes[token]
            if outer == scope[: len(outer)]:
                for storage in held:
                    live[id(storage.table)] = storage
        key = frozenset(live)
        moment = self._moments.get(key)
        if moment is None:
            tables = [(storage.axes, storage.table) for storage in live.values()]
            moment = self._moments[key] = _Moment(tables, {})
        axes, extra = self._masked(event.axes, event.extra, event.guards)
        known = moment.extra.get(axes)
        moment.extra[axes] = extra if known is None else np.maximum(known, extra)

    def parts(self) -> list[Tables]:
        """The moments as sums of tables."""
        alone: Tables = {}
        sums: list[Tables] = []
        for moment in self._moments.values():
            held: Tables = {}
            for axes, table in moment.held:
                held[axes] = held[axes] + table if axes in held else table
            for axes, extra in joined([moment.extra], np.maximum).items():
                part = {**held, axes: held[axes] + extra if axes in held else extra}
                part = one_table(self.domain, joined([part]), _JOINED)
                if len(part) > 1:
                    sums.append(part)
                    continue
                ((axes, table),) = part.items()
                alone[axes] = np.maximum(alone[axes], table) if axes in alone else table
        return [*({axes: table} for axes, table in alone.items()), *sums]

    # Tables and guards.

    def _masked(
        self, axes: Axes, table: NDArray[Any], guards: Guards
    ) -> tuple[Axes, NDArray[np.float64]]:
        """The table where all guards hold, else zero."""
        wider = union([axes, *(guard.axes for guard in guards)])
        cells = np.broadcast_to(spread(table, axes, wider), self.domain.shape(wider))
        for guard in guards:
            cells = np.where(spread(guard.mask, guard.axes, wider), cells, 0)
        return reduced(self.domain, wider, cells.astype(np.float64))

    def _sides(self, storage: _Storage, guard: Guard) -> tuple[bool, bool]:
        """Whether some of the storage is where the guard holds, and where it does not."""
        axes = union([storage.axes, guard.axes])
        there = spread(storage.table, storage.axes, axes) * self.domain.possible(axes) > 0
        mask = spread(guard.mask, guard.axes, axes)
        return bool((there & mask).any()), bool((there & ~mask).any())

    def _both(self, one: Guard | None, two: Guard | None) -> Guard | None:
        if one is None or two is None:
            return one or two
        axes = union([one.axes, two.axes])
        self.domain.shape(axes)
        return Guard(axes, spread(one.mask, one.axes, axes) & spread(two.mask, two.axes, axes))

    def _either(self, guards: list[Guard | None]) -> Guard | None:
        several = [guard for guard in guards if guard is not None]
        if len(several) < len(guards) or not several:
            return None
        axes = union(guard.axes for guard in several)
        mask = np.zeros(self.domain.shape(axes), bool)
        for guard in several:
            mask = mask | spread(guard.mask, guard.axes, axes)
        return Guard(axes, mask)
