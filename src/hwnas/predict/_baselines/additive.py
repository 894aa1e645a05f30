"""A device whose latency is a sum over the choices of an arch, and so a cost table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.cost import CostTable
from hwnas.errors import PredictError
from hwnas.predict._base import AdditivePredictor, Prediction
from hwnas.predict._baselines.decisions import Decisions
from hwnas.predict._lines import Line
from hwnas.space import Arch, SearchSpace


@dataclass(frozen=True)
class AdditiveDevice(AdditivePredictor):
    """A line over one-hot decisions.

    Attributes:
        typical: latency (ms) that the relative deviation of the table refers to.
    """

    decisions: Decisions
    line: Line
    typical: float

    def predict(self, archs: Sequence[Arch]) -> Prediction:
        """See `DevicePredictor`."""
        return Prediction(*self.line(self.decisions(archs)))

    def to_table(self, space: SearchSpace, resolution: int | None = None) -> CostTable:
        """See `AdditivePredictor`."""
        if space.fingerprint != self.decisions.space.fingerprint:
            raise PredictError("the predictor was fitted on another space than the table is for")
        line = self.line
        std = line.error if line.relative else line.error / self.typical
        return self.decisions.table(line.weights, line.intercept, std, resolution)
