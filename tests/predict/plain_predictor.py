"""A predictor that is easily understood, for tests of what is done with predictors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwnas.errors import PredictError
from hwnas.predict import (
    DevicePredictor,
    LatencyPredictor,
    Prediction,
    PredictorState,
    SourceTable,
)
from hwnas.space import Arch, SearchSpace
from hwnas.zoo import load_space


class Plain(LatencyPredictor):
    """A latency per choice by least squares; it errs by `1 / n` of the mean, it says."""

    name = "plain"
    needs_sources = False

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, sources: SourceTable) -> None:
        self._for(sources.space, sources.input_shape, sources.num_classes)

    def _for(self, space, input_shape, num_classes) -> None:
        self.space, self.input_shape, self.num_classes = space, input_shape, num_classes
        loaded = isinstance(space, SearchSpace)
        self.loaded = space if loaded else load_space(space, input_shape, num_classes)

    def adapt(self, archs: Sequence[Arch], latencies: Sequence[float]) -> DevicePredictor:
        if len(archs) < 2:
            raise PredictError("two measurements are the least")
        return _Device(self, archs, np.array(latencies))

    def suggest(self, n, candidates, *, measured=()):
        order = np.random.default_rng(self.seed).permutation(len(candidates))
        return [candidates[place] for place in order[:n]]

    def state(self) -> PredictorState:
        settings = {"seed": self.seed}
        return PredictorState(self.space, self.input_shape, self.num_classes, settings)

    @classmethod
    def of_state(cls, state: PredictorState) -> Plain:
        made = cls(state.setting("seed", int))
        made._for(state.space, state.input_shape, state.num_classes)
        return made


class _Device(DevicePredictor):
    def __init__(self, owner: Plain, archs: Sequence[Arch], latencies: np.ndarray) -> None:
        self.space, self.share = owner.loaded, 1 / len(archs)
        self.mean = latencies.mean()
        self.weights = np.linalg.lstsq(self.rows(archs), latencies, rcond=None)[0]

    def rows(self, archs: Sequence[Arch]) -> np.ndarray:
        for arch in archs:
            self.space.validate(arch)
        columns = [
            [float(arch.get(d.label) == choice) for arch in archs]
            for d in self.space.decisions
            for choice in d.choices
        ]
        return np.array([np.ones(len(archs)), *columns]).T

    def predict(self, archs: Sequence[Arch]) -> Prediction:
        mean = np.maximum(self.rows(archs) @ self.weights, 0.1 * self.mean)
        return Prediction(mean, self.share * mean)
