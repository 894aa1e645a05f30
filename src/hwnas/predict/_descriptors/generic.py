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
from hwnas.space import RESOLUTION, Arch, SearchSpace, SizedSpace

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
        inputs: the shape of an input, batch included. Of a `SizedSpace` height and width are those
            that the arch says.

    Raises:
        CostError: the forward fails, for every arch.
    """

    def __init__(self, space: SearchSpace, inputs: tuple[int, ...], name: str) -> None:
        self.space = name
        self._places = Places(space)
        networks, by_size = space, [inputs]
        if isinstance(space, SizedSpace):
            networks, by_size = space.space, [(*inputs[:2], size, size) for size in space.sizes]
        labels = [decision.label for decision in space.decisions]
        self._networks = [labels.index(decision.label) for decision in networks.decisions]
        self._size = [labels.index(RESOLUTION)] if networks is not space else []
        self._params = cost_tables(networks, inputs, ["params"])["params"]
        self._work: _Tabled | _Traced
        try:
            self._work = _Tabled([OperatorTables(networks, one) for one in by_size])
            self.reason: str | None = None
        except CostError as error:
            self._work = _Traced(networks, by_size)
            self.reason = str(error)

    def groups(self, archs: Sequence[Arch]) -> dict[str, NDArray[np.float64]]:
        """See `Descriptor`."""
        places = self._places.of(archs)
        networks, sizes = places[:, self._networks], places[:, self._size].sum(1)
        sums = self._work.sums(networks, sizes)
        params = self._params.evaluate(networks.astype(np.float64))
        by_kind = sums[:, : 3 * len(KINDS)].reshape(len(places), len(KINDS), 3)
        octaves = 3 * len(KINDS) + 3 * self._work.octaves
        calls, macs, moved = by_kind.transpose(2, 0, 1)
        total = [part.sum(1) for part in (macs, moved, calls)]
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

    def __init__(self, tables: Sequence[OperatorTables]) -> None:
        found = list(dict.fromkeys(operator for one in tables for operator in one.operators))
        there = sorted({octave_of(operator) for operator in found})
        self.octaves = len(there)
        own = np.array([_amounts(operator) for operator in found]).reshape(len(found), -1)
        kinds, octaves = np.split(own, [3 * len(KINDS)], axis=1)
        kept = octaves.reshape(len(found), OCTAVES, 3)[:, there].reshape(len(found), -1)
        rows = np.concatenate((kinds, kept, likeness(found)), 1)
        number = {operator: row for row, operator in enumerate(found)}
        self._columns = rows.shape[1]
        self._sums = [one.sums(rows[[number[op] for op in one.operators]]) for one in tables]

    def sums(self, places: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        found = np.zeros((len(places), self._columns))
        for size, sums in enumerate(self._sums):
            of_size = sizes == size
            found[of_size] = sums.evaluate(places[of_size].astype(np.float64))
        return found


class _Traced:
    """The same of networks that are built one by one, without likeness; the last are remembered."""

    octaves = OCTAVES

    def __init__(self, space: SearchSpace, inputs: Sequence[tuple[int, ...]]) -> None:
        self._space, self._inputs = space, inputs
        self._known: OrderedDict[tuple[int, bytes], NDArray[np.float64]] = OrderedDict()
        self._tracing = threading.Lock()  # Tracing sets switches of the process.
        self._columns = 3 * (len(KINDS) + OCTAVES)

    def sums(self, places: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        found = np.zeros((len(places), self._columns))
        with self._tracing:
            for row, one, size in zip(found, places, sizes.tolist(), strict=True):
                row[:] = self._row(one, size)
        return found

    def _row(self, places: NDArray[np.int64], size: int) -> NDArray[np.float64]:
        key = size, places.tobytes()
        row = self._known.get(key)
        if row is None:
            arch: Arch = {
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
            row = np.zeros(self._columns)
            for operator, count in operators_of(model, self._inputs[size]).items():
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
