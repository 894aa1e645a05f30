"""Layer-wise look-up: a latency for each choice, and their sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.cost import CostTable
from hwnas.errors import ArchError, PredictError
from hwnas.predict._base import AdditivePredictor, DevicePredictor, LatencyPredictor, Prediction
from hwnas.predict._baselines.additive import AdditiveDevice
from hwnas.predict._baselines.base import Baseline
from hwnas.predict._baselines.decisions import Decisions
from hwnas.predict._baselines.macs import opened
from hwnas.predict._lines import Line, nonnegative, proportional
from hwnas.predict._sources import RESOLUTION, SourceTable
from hwnas.predict._stored import PredictorState
from hwnas.space import Arch, SearchSpace


class Lookup(Baseline):
    """Latency is the sum of what the chosen operators take, as in ProxylessNAS and FBNet.

    With a measured table (`LatencyTable.cost`, `SpaceProfile.table`) it is a line over the table's
    sums, from 0 up. Without one, the latencies of all choices are fitted to the measurements: least
    squares from 0 up, with a ridge (see `nonnegative`). Sources do not matter.

    Args:
        table: latencies (ms) of parts, measured on the device or on one like it.
    """

    name = "lookup"
    needs_sources = False

    def __init__(self, seed: int = 0, table: CostTable | None = None) -> None:
        super().__init__(seed)
        self._table = table

    def _prepare(self) -> None:
        self._decisions = Decisions(opened(self.space, self.input_shape, self.num_classes))

    def _learn(self, sources: SourceTable) -> None:
        table = self._table
        if table and table.space.fingerprint != self._decisions.space.fingerprint:
            raise PredictError("the table of latencies is of another space than the sources")

    def _adapted(self, archs: Sequence[Arch], latencies: NDArray[np.float64]) -> DevicePredictor:
        typical = float(latencies.mean())
        if self._table is None:
            return AdditiveDevice(
                self._decisions, nonnegative(self._decisions(archs), latencies), typical
            )
        device = _TableDevice(
            self._table, self._decisions, Line(np.ones(1), 0.0, 0.0, 0.0), typical
        )
        sums = device.sums(archs)
        if sums.min() <= 0 or len(archs) == 1 or np.ptp(sums) == 0:
            line = proportional(np.maximum(sums, 1e-12), latencies)
        else:
            line = nonnegative(sums[:, None], latencies, ridge=False)
        return _TableDevice(self._table, self._decisions, line, typical)

    def state(self) -> PredictorState:
        """See `LatencyPredictor`."""
        bare = super().state()
        if self._table is None:
            return bare
        tables = self._table.tables
        return PredictorState(
            bare.space,
            bare.input_shape,
            bare.num_classes,
            {**bare.settings, "axes": [list(axes) for axes in tables]},
            {f"table{i}": table for i, table in enumerate(tables.values())},
        )

    @classmethod
    def of_state(cls, state: PredictorState) -> LatencyPredictor:
        """See `LatencyPredictor`."""
        made = super().of_state(state)
        assert isinstance(made, Lookup)
        if "axes" in state.settings:
            made._table = made._stored_table(state)
        return made

    def _stored_table(self, state: PredictorState) -> CostTable:
        space = self._decisions.space
        tables = {}
        for number, axes in enumerate(state.setting("axes", list)):
            if not (isinstance(axes, list) and all(type(axis) is int for axis in axes)):
                raise PredictError("the stored predictor is damaged: 'axes' are no columns")
            if any(not 0 <= axis < len(space.decisions) for axis in axes):
                raise PredictError("the stored predictor is damaged: 'axes' are of another space")
            chosen = [space.decisions[axis] for axis in axes]
            shape = [len(one.choices) + (one.condition is not True) for one in chosen]
            tables[tuple(axes)] = state.array(f"table{number}", *shape)
        return CostTable("latency", space, tables)


@dataclass(frozen=True)
class _TableDevice(AdditivePredictor):
    """A line over a measured table."""

    table: CostTable
    decisions: Decisions
    line: Line
    typical: float

    def sums(self, archs: Sequence[Arch]) -> NDArray[np.float64]:
        """What the table says (n,)."""
        if any(isinstance(arch, dict) and RESOLUTION in arch for arch in archs):
            raise ArchError("a measured table is of one input size; leave 'resolution' out")
        return self.table.evaluate(self.decisions.encoded(archs))

    def predict(self, archs: Sequence[Arch]) -> Prediction:
        """See `DevicePredictor`."""
        return Prediction(*self.line(self.sums(archs)[:, None]))

    def to_table(self, space: SearchSpace, resolution: int | None = None) -> CostTable:
        """See `AdditivePredictor`."""
        if space.fingerprint != self.table.space.fingerprint:
            raise PredictError("the predictor was fitted on another space than the table is for")
        line = self.line
        std = line.error if line.relative else line.error / self.typical
        scaled = self.table * float(line.weights[0]) + line.intercept
        return CostTable("latency", space, scaled.tables, relative_std=std)
