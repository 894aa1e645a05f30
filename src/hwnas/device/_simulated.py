"""A device that measures nothing: its latencies come from a function or a table."""

from __future__ import annotations

import platform
import random
import threading
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from hwnas.device._base import Device, Inputs, Model
from hwnas.device._inputs import per_model
from hwnas.device._measurement import Environment, Measurement, Percentiles
from hwnas.device._timing.stats import median_interval
from hwnas.device._timing.timing import Timing
from hwnas.device._worker_device import where_of
from hwnas.errors import DeviceError, ModelFault

_SAMPLES = 20
_CONFIDENCE = 0.95


class SimulatedDevice(Device):
    """Answers with the latency that `latency` gives for a model, at once and without a worker.

    For tests of what measures, and for published latencies of networks. A search over archs needs
    none of it where the latencies are known by arch: give it the table as a cost of its own,
    `latency@name=table.npz`.

    Args:
        name: what budgets and tables call it.
        latency: of a model and its inputs, in ms: `lambda model, inputs: table[key(model)]`.
        noise: standard deviation of a sample, relative to the latency.
        seed: of the noise. The same calls in the same order give the same measurements.
    """

    def __init__(
        self,
        name: str,
        latency: Callable[[Model, Inputs], float],
        *,
        noise: float = 0.0,
        seed: int = 0,
    ) -> None:
        if not 0 <= noise < 0.2:
            raise DeviceError(f"noise of device '{name}' must lie in 0 to 0.2, not {noise}")
        self.name, self._latency, self._noise = name, latency, noise
        self._random = random.Random(seed)
        self._mutex = threading.Lock()

    def measure_each(
        self,
        models: Sequence[Model],
        inputs: Tensor | tuple[Tensor, ...] | list[tuple[Tensor, ...]],
        *,
        timing: Timing | None = None,
        parts: bool = False,
    ) -> list[Measurement | ModelFault]:
        """The latency of each model; a fault where the function raises or gives no latency."""
        each = per_model(inputs, models)
        with self._mutex:
            return [
                self._one(models[index], tensors, where_of(models, index))
                for index, tensors in enumerate(each)
            ]

    def close(self) -> None:
        """Nothing is held."""

    def _one(self, model: Model, inputs: Inputs, where: str) -> Measurement | ModelFault:
        try:
            truth = float(self._latency(model, inputs))
        except Exception as error:  # noqa: BLE001 - the function is the user's
            return ModelFault(f"device '{self.name}': {where}: {type(error).__name__}: {error}")
        if not 0 < truth < float("inf"):
            return ModelFault(f"device '{self.name}': {where}: its latency is {truth}")
        draws = [truth * max(self._random.gauss(1, self._noise), 1e-3) for _ in range(_SAMPLES)]
        median, low, high = median_interval(draws, _CONFIDENCE) if self._noise else [truth] * 3
        p10, p90, p99 = np.percentile(draws, (10, 90, 99)).tolist() if self._noise else [truth] * 3
        return Measurement(
            device=self.name,
            metric="latency",
            unit="ms",
            median=median,
            low=low,
            high=high,
            confidence=_CONFIDENCE,
            n=_SAMPLES,
            samples=Percentiles(p10, p90, p99),
            raw_median=median,
            canary=None,
            converged=True,
            warnings=(),
            environment=_environment(inputs),
        )


def _environment(inputs: Inputs) -> Environment:
    return Environment(
        platform="none",
        python=platform.python_version(),
        cpu="none",
        cores=1,
        accelerator="none",
        runtime="simulated",
        runtime_version="1",
        torch_version=None,
        threads=1,
        batch_size=int(inputs[0].shape[0]) if inputs[0].dim() else 1,
        precision="fp32",
        clock="none",
    )
