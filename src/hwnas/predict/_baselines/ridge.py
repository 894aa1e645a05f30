"""Ridge regression of the device's own latencies on counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import PredictError
from hwnas.predict._base import DevicePredictor, LatencyPredictor, Prediction
from hwnas.predict._baselines.additive import AdditiveDevice
from hwnas.predict._baselines.base import Baseline
from hwnas.predict._baselines.decisions import Decisions
from hwnas.predict._baselines.macs import opened
from hwnas.predict._descriptor import Descriptor
from hwnas.predict._lines import Line
from hwnas.predict._source_models import SourceModels
from hwnas.predict._stored import PredictorState
from hwnas.space import Arch

_ON = ("counts", "physics")
_DECISIONS = "decisions"
_SCALES = ("best", "linear", "log")


class Ridge(Baseline):
    """Ridge regression on operator counts, or on what else the descriptor tells.

    Strength and scale are those of the least leave-one-out error (see `SourceModels`, which is the
    same regression). Sources do not matter.

    Args:
        on: groups of the descriptor; those that a space lacks are left out, and if it has none of
            them it is `decisions`.
        scale: `linear`, `log`, or `best`: what errs less. Only on `decisions` and `linear` the
            adapted predictor is an `AdditivePredictor`.
    """

    name = "ridge"
    needs_sources = False
    least = 3

    def __init__(self, seed: int = 0, on: Sequence[str] = _ON, scale: str = "best") -> None:
        super().__init__(seed)
        if scale not in _SCALES:
            raise PredictError(f"ridge: the scale '{scale}' is none of {', '.join(_SCALES)}")
        if isinstance(on, str) or not on:
            raise PredictError("ridge: 'on' is a list of the descriptor's groups")
        self.on, self.scale = tuple(on), scale

    def _prepare(self) -> None:
        self._decisions = Decisions(opened(self.space, self.input_shape, self.num_classes))

    def _adapted(self, archs: Sequence[Arch], latencies: NDArray[np.float64]) -> DevicePredictor:
        log = None if self.scale == "best" else self.scale == "log"
        if self.on == (_DECISIONS,) and log is False:
            return self._additive(archs, latencies)
        groups = _chosen(self.descriptor, archs, self.on)
        fitted = SourceModels.fit(groups, {"device": latencies}, log)
        return _RidgeDevice(self.descriptor, self.on, fitted, float(latencies.mean()))

    def _additive(self, archs: Sequence[Arch], latencies: NDArray[np.float64]) -> AdditiveDevice:
        fitted = SourceModels.fit({"choices": self._decisions(archs)}, {"device": latencies}, False)
        typical = float(latencies.mean())
        line = Line(
            fitted.weights[:, 0],
            float(fitted.intercept[0]),
            float(fitted.floor[0]),
            float(fitted.error[0]) * typical,
        )
        return AdditiveDevice(self._decisions, line, typical)

    def state(self) -> PredictorState:
        """See `LatencyPredictor`."""
        bare = super().state()
        settings = {**bare.settings, "on": list(self.on), "scale": self.scale}
        return PredictorState(bare.space, bare.input_shape, bare.num_classes, settings)

    @classmethod
    def of_state(cls, state: PredictorState) -> LatencyPredictor:
        """See `LatencyPredictor`."""
        on = state.setting("on", list)
        if not all(isinstance(name, str) for name in on):
            raise PredictError(
                "the stored predictor is damaged: its setting 'on' is no list of names"
            )
        made = cls(state.setting("seed", int), on, state.setting("scale", str))
        made._for(state.space, state.input_shape, state.num_classes)
        return made


class _RidgeDevice(DevicePredictor):
    def __init__(
        self, descriptor: Descriptor, on: tuple[str, ...], fitted: SourceModels, typical: float
    ) -> None:
        self._descriptor = descriptor
        self._on = on
        self._fitted = fitted
        self._typical = typical

    def predict(self, archs: Sequence[Arch]) -> Prediction:
        """See `DevicePredictor`."""
        mean = self._fitted.predict(_chosen(self._descriptor, archs, self._on))[:, 0]
        around = mean if self._fitted.log[0] else np.full_like(mean, self._typical)
        return Prediction(mean, self._fitted.error[0] * around)


def _chosen(
    descriptor: Descriptor, archs: Sequence[Arch], on: tuple[str, ...]
) -> dict[str, NDArray[np.float64]]:
    """The groups that are fitted, under names of their own: no products of decisions here."""
    groups = descriptor.groups(archs)
    names = [name for name in on if name in groups] or [_DECISIONS]
    return {f"ridge {name}": groups[name] for name in names}
