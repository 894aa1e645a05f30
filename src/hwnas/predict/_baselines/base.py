"""What the plain predictors have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import PredictError
from hwnas.predict._base import DevicePredictor, LatencyPredictor, Prediction
from hwnas.predict._descriptor import Descriptor
from hwnas.predict._descriptors import load_descriptor
from hwnas.predict._design import spread
from hwnas.predict._lines import Line
from hwnas.predict._samples import checked_latencies
from hwnas.predict._sources import SourceTable
from hwnas.predict._stored import PredictorState
from hwnas.space import Arch, SearchSpace

_MOST = 1500
"""Candidates that a design looks at: every k-th of more."""


class Baseline(LatencyPredictor):
    """A predictor that describes archs with the space's descriptor.

    `suggest` is a design over standardised descriptor columns, the same for all of them: it needs
    no latencies, so those of `measured` archs do not matter.

    A member gives `_adapted`; one with settings or sources overrides `_learn`, `state`, `of_state`,
    one that needs more of the space `_prepare`.

    Attributes:
        least: how many measurements `adapt` takes at least.
    """

    least: ClassVar[int] = 1

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._descriptor: Descriptor | None = None

    @property
    def descriptor(self) -> Descriptor:
        """Of the space that it was fitted on.

        Raises:
            PredictError: it was not.
        """
        if self._descriptor is None:
            raise PredictError(
                f"'{self.name}' was not fitted: call fit first"
                + ("" if self.needs_sources else ", with a table that tells the space")
            )
        return self._descriptor

    def fit(self, sources: SourceTable) -> None:
        """See `LatencyPredictor`."""
        if self.needs_sources and not sources.devices:
            raise PredictError(f"'{self.name}' learns from source devices, and the table has none")
        self._for(sources.space, sources.input_shape, sources.num_classes)
        self._learn(sources)

    def adapt(self, archs: Sequence[Arch], latencies: Sequence[float]) -> DevicePredictor:
        """See `LatencyPredictor`."""
        _ = self.descriptor
        return self._adapted(archs, checked_latencies(archs, latencies, self.least))

    def suggest(
        self,
        n: int,
        candidates: Sequence[Arch],
        *,
        measured: Sequence[tuple[Arch, float]] = (),
    ) -> list[Arch]:
        """See `LatencyPredictor`."""
        if n > len(candidates):
            raise PredictError(f"{n} archs are asked for, and there are {len(candidates)}")
        step = max(1, min(len(candidates) // max(n, 1), -(-len(candidates) // _MOST)))
        some = candidates[::step]
        groups = self.descriptor.groups([*some, *(arch for arch, _ in measured)])
        parts = []
        for matrix in groups.values():
            scale = matrix[: len(some)].std(axis=0)
            varied = scale > 1e-9 * (1.0 + np.abs(matrix[: len(some)]).max(axis=0, initial=0.0))
            if varied.any():
                centred = matrix[:, varied] - matrix[: len(some), varied].mean(axis=0)
                parts.append(centred / scale[varied] / np.sqrt(varied.sum()))
        features = np.concatenate([np.ones((len(some) + len(measured), 1)), *parts], axis=1)
        return [some[i] for i in spread(features[: len(some)], n, features[len(some) :])]

    def state(self) -> PredictorState:
        """See `LatencyPredictor`."""
        _ = self.descriptor
        return PredictorState(self.space, self.input_shape, self.num_classes, {"seed": self.seed})

    @classmethod
    def of_state(cls, state: PredictorState) -> LatencyPredictor:
        """See `LatencyPredictor`."""
        made = cls(seed=state.setting("seed", int))
        made._for(state.space, state.input_shape, state.num_classes)
        return made

    def _for(
        self, space: str | SearchSpace, input_shape: tuple[int, ...] | None, num_classes: int | None
    ) -> None:
        self.space, self.input_shape, self.num_classes = space, input_shape, num_classes
        self._descriptor = load_descriptor(space, input_shape, num_classes)
        self._prepare()

    def _prepare(self) -> None:
        """What a member needs of the space beside the descriptor; nothing, by default."""

    def _learn(self, sources: SourceTable) -> None:
        """Nothing, where the sources do not matter."""

    @abstractmethod
    def _adapted(self, archs: Sequence[Arch], latencies: NDArray[np.float64]) -> DevicePredictor:
        """See `adapt`; the latencies are checked."""


@dataclass(frozen=True)
class LineDevice(DevicePredictor):
    """A device whose latency is a line over some numbers that tell about an arch.

    Attributes:
        describe: archs -> (n, p).
        line: of them.
    """

    describe: Callable[[Sequence[Arch]], NDArray[np.float64]]
    line: Line

    def predict(self, archs: Sequence[Arch]) -> Prediction:
        """See `DevicePredictor`."""
        return Prediction(*self.line(self.describe(archs)))
