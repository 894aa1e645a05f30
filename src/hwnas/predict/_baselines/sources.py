"""The new device as a mean or a mix of the source devices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import PredictError
from hwnas.predict._base import DevicePredictor, LatencyPredictor
from hwnas.predict._baselines.base import Baseline, LineDevice
from hwnas.predict._lines import nonnegative, proportional
from hwnas.predict._source_models import SourceModels
from hwnas.predict._sources import SourceTable
from hwnas.predict._stored import PredictorState
from hwnas.space import Arch


class _OfSources(Baseline):
    """Has the latencies of the sources, each in units of its mean over the table's archs."""

    needs_sources = True

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._models: SourceModels | None = None
        self._units = np.zeros(0)

    def _learn(self, sources: SourceTable) -> None:
        groups = self.descriptor.groups(sources.archs)
        self._models = SourceModels.fit(groups, sources.latencies)
        self._units = self._models.predict(groups).mean(axis=0)

    def _sources(self, archs: Sequence[Arch]) -> NDArray[np.float64]:
        """(n, devices)."""
        if self._models is None:
            raise PredictError(f"'{self.name}' was not fitted: call fit first")
        return self._models.predict(self.descriptor.groups(archs)) / self._units

    def state(self) -> PredictorState:
        """See `LatencyPredictor`."""
        bare = super().state()
        if self._models is None:
            raise PredictError(f"'{self.name}' was not fitted: call fit first")
        return PredictorState(
            bare.space,
            bare.input_shape,
            bare.num_classes,
            {**bare.settings, "devices": list(self._models.devices)},
            {
                "units": self._units,
                **{f"sources.{name}": array for name, array in self._models.state().items()},
            },
        )

    @classmethod
    def of_state(cls, state: PredictorState) -> LatencyPredictor:
        """See `LatencyPredictor`."""
        devices = state.setting("devices", list)
        if not devices or not all(isinstance(name, str) for name in devices):
            raise PredictError("the stored predictor is damaged: it names no source devices")
        models = SourceModels.of_state(devices, state.part("sources"))
        units = state.array("units", len(devices))
        if (units <= 0).any():
            raise PredictError("the stored predictor is damaged: a source has no latency")
        made = super().of_state(state)
        assert isinstance(made, _OfSources)
        made._models, made._units = models, units
        return made


class SourceMean(_OfSources):
    """The mean of the sources, scaled to the device by the mean ratio (of logarithms)."""

    name = "source-mean"

    def _adapted(self, archs: Sequence[Arch], latencies: NDArray[np.float64]) -> DevicePredictor:
        line = proportional(self._mean(archs)[:, 0], latencies)
        return LineDevice(self._mean, line)

    def _mean(self, archs: Sequence[Arch]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = self._sources(archs).mean(axis=1, keepdims=True)
        return mean


class SourceMix(_OfSources):
    """A sum of the sources and a constant with weights from 0 up.

    A ridge draws the weights to those of the scaled mean of the sources; see `nonnegative`.
    """

    name = "source-mix"

    def _adapted(self, archs: Sequence[Arch], latencies: NDArray[np.float64]) -> DevicePredictor:
        sources = self._sources(archs)
        scale = proportional(sources.mean(axis=1), latencies).weights[0]
        goal = np.full(sources.shape[1], scale / sources.shape[1])
        return LineDevice(self._sources, nonnegative(sources, latencies, goal))
