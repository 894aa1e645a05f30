"""The contracts of latency predictors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwnas.predict._sources import SourceTable
from hwnas.predict._stored import PredictorState, write
from hwnas.space import Arch, SearchSpace

if TYPE_CHECKING:
    from hwnas.cost import CostTable


@dataclass(frozen=True)
class Prediction:
    """Latencies in ms with their uncertainty.

    Attributes:
        mean: (n,) float64, positive and finite.
        std: (n,) float64, of the error of `mean` against a measurement of the device: not negative.
            0 only where a predictor tells no uncertainty.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


class DevicePredictor(ABC):
    """What is known of one device: latencies of any arch of the space, without measuring.

    - Equal archs get equal predictions, whatever else is asked for in the same call.
    - An arch of another space is an `ArchError`.
    - It does not change once made; all methods may be called from several threads.
    """

    @abstractmethod
    def predict(self, archs: Sequence[Arch]) -> Prediction:
        """Latencies of n archs (ms)."""


class AdditivePredictor(DevicePredictor):
    """A device whose latency is a sum over the parts of an arch, which a cost table says as well.

    Archs under a limit on the predicted latency can then be counted and drawn exactly
    (`hwnas.cost.FeasibleSet`).
    """

    @abstractmethod
    def to_table(self, space: SearchSpace, resolution: int | None = None) -> CostTable:
        """The mean of `predict` for every arch of the space, named `latency`, in ms.

        Its relative deviation is that of the predictor, at a typical latency.

        Args:
            space: as the predictor's; the table belongs to this object.
            resolution: of the archs, where their input size varies.

        Raises:
            PredictError: it is another space.
        """


class LatencyPredictor(ABC):
    """Learns from devices that measured many archs, adapts to one that measured a few.

    The life of a predictor: `fit` on a table of source devices, once; `suggest` the archs to
    measure on the device at hand; `adapt` to their latencies.

    - `fit` comes first, for all: anything else before it is a `PredictError`. A table without
      devices tells the space, and no more; that is a `PredictError` for predictors that need
      sources (`needs_sources`).
    - Each archs argument holds archs of the predictor's space; see `SourceTable.archs`.
    - Latencies are in ms, positive. What is not (or too few for the method) is a `PredictError`
      that names the row.
    - All arguments of the constructor have defaults; among them is `seed`. Chance comes from it
      alone: equal calls on an equal machine give equal results.
    - `save` writes a folder of JSON and safetensors from which `hwnas.predict.load_predictor` makes
      a predictor that predicts the same. Nothing is ever unpickled.

    Others add members as entry points of the group `hwnas.predictors`.

    Attributes:
        name: as in the entry points.
        needs_sources: whether it learns nothing from a table without devices.
        space, input_shape, num_classes: those of the table that it was fitted on.
    """

    name: str
    needs_sources: bool = True
    space: str | SearchSpace
    input_shape: tuple[int, ...] | None
    num_classes: int | None

    @abstractmethod
    def fit(self, sources: SourceTable) -> None:
        """Learn from source devices; what was learnt before is forgotten."""

    @abstractmethod
    def adapt(self, archs: Sequence[Arch], latencies: Sequence[float]) -> DevicePredictor:
        """The predictor of a device that measured the latencies (ms) of these archs."""

    @abstractmethod
    def suggest(
        self,
        n: int,
        candidates: Sequence[Arch],
        *,
        measured: Sequence[tuple[Arch, float]] = (),
    ) -> list[Arch]:
        """The n of the candidates worth measuring next, best first.

        `measured` are latencies (ms) of the device at hand; none for the first archs. Without them
        a suggestion is nested: the first k of n are the suggestion for k.
        """

    @abstractmethod
    def state(self) -> PredictorState:
        """What `of_state` needs to make a predictor that predicts the same."""

    @classmethod
    @abstractmethod
    def of_state(cls, state: PredictorState) -> LatencyPredictor:
        """The predictor that `state` told of.

        Raises:
            PredictError: something is missing in it, or of a wrong type or shape (see the methods
                of `PredictorState`).
        """

    def save(self, folder: Path) -> None:
        """Write everything `load_predictor` needs into a folder, which is there whole or not.

        A predictor that is there already is replaced.

        Raises:
            PredictError: the folder holds something else, or nothing was learnt yet.
        """
        write(folder, self.name, self.state())
