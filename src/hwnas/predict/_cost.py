"""An adapted predictor as the cost of a space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.cost import Cost
from hwnas.errors import CostError
from hwnas.predict._adapted import load_adapted
from hwnas.predict._base import DevicePredictor
from hwnas.predict._sources import RESOLUTION
from hwnas.space import SearchSpace, Value


class PredictedLatency(Cost):
    """Latencies (ms) that a predictor tells, each with its own deviation.

    Args:
        predictor: of a device, adapted.
        space: the space of its archs.
        name: by which a budget knows it, such as `latency@pixel6`.
        resolution: of the images, where the predictor's archs tell it and the space's do not.
    """

    relative_std = None

    def __init__(
        self,
        predictor: DevicePredictor,
        space: SearchSpace,
        name: str = "latency",
        resolution: int | None = None,
    ) -> None:
        self.name, self.space = name, space
        self.predictor, self._resolution = predictor, resolution

    def __call__(self, arch: Mapping[str, Value]) -> float:
        """The latency of one arch."""
        return self.estimate(arch).value

    def evaluate(self, encoded: NDArray[np.float64]) -> NDArray[np.float64]:
        """The latencies of archs encoded by `space.encode`: (n, decisions) -> (n,)."""
        return self.estimates(encoded)[0]

    def estimates(
        self, encoded: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Latencies and their standard deviations: (n, decisions) -> two of (n,)."""
        if not len(encoded):
            return np.empty(0), np.empty(0)
        archs = self.space.decode(encoded)
        if self._resolution is not None:
            archs = [{RESOLUTION: self._resolution, **arch} for arch in archs]
        told = self.predictor.predict(archs)
        return told.mean, told.std

    def renamed(self, name: str) -> PredictedLatency:
        """The same cost under another name."""
        return PredictedLatency(self.predictor, self.space, name, self._resolution)


def load_latency(folder: Path, space: SearchSpace, inputs: Any = ()) -> PredictedLatency:
    """The adapted predictor in a folder as a cost `latency@DEVICE`.

    An entry point of the group `hwnas.cost_folders`.

    Args:
        inputs: of the networks that are searched: a shape, batch first; () if it is not known.

    Raises:
        CostError: it is of another space, or of another input size.
        PredictError: it cannot be read.
    """
    adapted = load_adapted(folder, space)
    shaped = isinstance(inputs, tuple) and all(isinstance(size, int) for size in inputs)
    shape = tuple(inputs[1:]) if inputs and shaped else adapted.input_shape
    resolution = None
    if any(RESOLUTION in sample.arch for sample in adapted.samples):
        resolution = int(shape[-1])
    elif shape != adapted.input_shape:
        told, wanted = (",".join(map(str, one)) for one in (adapted.input_shape, shape))
        raise CostError(
            f"the predictor in {folder} was adapted to inputs of {told}, and these are {wanted}"
        )
    return PredictedLatency(adapted, space, f"latency@{adapted.device}", resolution)
