"""The descriptor that every space has, from the operators of its networks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.cost import Operator, OperatorTables, cost_tables, operators_of
from hwnas.errors import CostError, describe
from hwnas.predict._descriptor import Descriptor
from hwnas.predict._descriptors.places import Places, one_hot
from hwnas.predict._descriptors.work import KINDS, OCTAVES, amounts_of, likeness, octave_of
from hwnas.space import Arch, SearchSpace, Value

_KNOWN = 100_000
_WORKING = 7
"""The first of `KINDS`, which have multiply-accumulates."""


class OperatorDescriptor(Descriptor):
    """What the operators of a network take, summed by kind and by size.

    Where the forward can be followed for all archs at once (`hwnas.cost.OperatorTables`), archs
    are looked up in tables; else each is built and traced, once, and `reason` says why.

    - `counts` (13): operators by kind, as in `work.KINDS`.
    - `physics` (24): multiply-accumulates, elements moved, operators, parameters; then
      multiply-accumulates by kind, and elements moved by kind.
    - `stages`: operators, multiply-accumulates and elements moved for each octave of the size of
      the image or the length of the sequence.
    - `decisions`: one-hot; no entry where a decision is not taken.
    - `layers` (only with tables): how often operators run, such that the inner product of two
      archs is the sum over the operators of both of how alike these are; see `work.likeness`. To
      be scaled as a whole: scaling each column would undo it.

    Args:
        inputs: the shape of an input, batch included.

    Raises:
        CostError: the forward fails, for every arch.
    """

    def __init__(self, space: SearchSpace, inputs: tuple[int, ...], name: str) -> None:
        self.space = name
        self._places = Places(space)
        self._params = cost_tables(space, inputs, ["params"])["params"]
        self._work: _Tabled | _Traced
        try:
            self._work = _Tabled(OperatorTables(space, inputs))
            self.reason: str | None = None
        except CostError as error:
            self._work = _Traced(space, inputs)
            self.reason = str(error)

    def groups(self, archs: Sequence[Arch]) -> dict[str, NDArray[np.float64]]:
        """See `Descriptor`."""
        places = self._places.of(archs)
        sums = self._work.sums(places)
        by_kind = sums[:, : 3 * len(KINDS)].reshape(len(places), len(KINDS), 3)
        octaves = 3 * len(KINDS) + 3 * self._work.octaves
        calls, macs, moved = by_kind.transpose(2, 0, 1)
        total = [part.sum(1) for part in (macs, moved, calls)]
        params = self._params.evaluate(places.astype(np.float64))
        groups = {
            "counts": calls,
            "physics": np.column_stack((*total, params, macs[:, :_WORKING], moved)),
            "stages": sums[:, 3 * len(KINDS) : octaves],
            "decisions": np.concatenate(
                [
                    one_hot(column, len(decision.choices))
                    for column, decision in zip(places.T, self._places.decisions, strict=True)
                ],
                1,
            ).astype(np.float64),
        }
        if sums.shape[1] > octaves:
            groups["layers"] = sums[:, octaves:]
        return {name: np.ascontiguousarray(group) for name, group in groups.items()}


class _Tabled:
    """Sums looked up: amounts by kind, amounts by octave, likeness."""

    def __init__(self, tables: OperatorTables) -> None:
        found = tables.operators
        there = sorted({octave_of(operator) for operator in found})
        self.octaves = len(there)
        own = np.array([_amounts(operator) for operator in found]).reshape(len(found), -1)
        kinds, octaves = np.split(own, [3 * len(KINDS)], axis=1)
        kept = octaves.reshape(len(found), OCTAVES, 3)[:, there].reshape(len(found), -1)
        self._sums = tables.sums(np.concatenate((kinds, kept, likeness(found)), 1))

    def sums(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._sums.evaluate(places.astype(np.float64))


class _Traced:
    """The same of networks that are built one by one, without likeness; the last are remembered."""

    octaves = OCTAVES

    def __init__(self, space: SearchSpace, inputs: tuple[int, ...]) -> None:
        self._space, self._inputs = space, inputs
        self._known: OrderedDict[bytes, NDArray[np.float64]] = OrderedDict()
        self._tracing = threading.Lock()  # Tracing sets switches of the process.
        self._columns = 3 * (len(KINDS) + OCTAVES)

    def sums(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        with self._tracing:
            rows = [self._row(one) for one in places]
        return np.array(rows, np.float64).reshape(len(places), self._columns)

    def _row(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        key = places.tobytes()
        row = self._known.get(key)
        if row is None:
            arch: dict[str, Value] = {
                decision.label: decision.choices[place]
                for decision, place in zip(self._space.decisions, places.tolist(), strict=True)
                if place >= 0
            }
            try:
                model = self._space.build(arch)
            except Exception as error:  # the user's code may raise anything
                raise CostError(
                    f"the network of {arch} cannot be built: {describe(error)}"
                ) from error
            counts = operators_of(model, self._inputs)
            row = np.zeros(self._columns)
            for operator, count in counts.items():
                row += count * _amounts(operator)
            self._known[key] = row
            if len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return row


def _amounts(operator: Operator) -> NDArray[np.float64]:
    """By kind, and by octave: (3 (kinds + octaves),)."""
    kinds = amounts_of(operator)
    octaves = np.zeros((OCTAVES, 3))
    octaves[octave_of(operator)] = kinds.sum(0)
    return np.concatenate((kinds.ravel(), octaves.ravel()))
