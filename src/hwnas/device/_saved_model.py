"""TensorFlow's SavedModel, measured in this process, where TensorFlow is installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.device._timing.engine import time_models
from hwnas.device._timing.memory import PeakMemory
from hwnas.device._timing.runnable import Runnable
from hwnas.device._timing.stats import median_interval
from hwnas.device._timing.timing import Timing
from hwnas.device._worker.lock import host_lock
from hwnas.errors import ModelFault


@dataclass(frozen=True)
class TimedSavedModel:
    """The median latency of a SavedModel (ms) with its interval, and how far memory rose (bytes).

    Without a canary: figures of different hours are comparable on a quiet host alone.
    """

    median: float
    low: float
    high: float
    peak_memory_bytes: int | None
    device: str


def measure_saved_model(folder: Path, timing: Timing | None = None) -> TimedSavedModel:
    """The latency of a SavedModel's `serving_default` on noise; open sizes are 1.

    The outputs are fetched in each call. Other measurements on this host wait meanwhile.

    Raises:
        ModelFault: TensorFlow is not installed, or the model cannot be loaded or run.
    """
    try:
        import tensorflow as tf
    except ModuleNotFoundError as error:
        raise ModelFault(
            f"{folder} is a SavedModel, and TensorFlow is not installed beside hwnas; install it, "
            "or save an ONNX file"
        ) from error
    wanted, memory = timing or Timing(), PeakMemory()
    with host_lock():
        memory.start()
        model = _Loaded(tf, folder)
        model.run()
        peak = memory.bytes
        (series,), _, _ = time_models([[model]], [model], wanted)
    if series.error is not None:
        raise ModelFault(f"{folder} cannot be run: {series.error}") from series.error
    median, low, high = median_interval([1e3 * one for one in series.raw], wanted.confidence)
    gpus = tf.config.list_logical_devices("GPU")
    return TimedSavedModel(median, low, high, peak, gpus[0].name if gpus else "CPU")


class _Loaded(Runnable):
    def __init__(self, tf: Any, folder: Path) -> None:
        try:
            # Kept: the signature is of no use without what it was loaded from.
            self._model = tf.saved_model.load(str(folder))
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise ModelFault(f"cannot load {folder}: {error}") from error
        self._call = self._model.signatures.get("serving_default")
        if self._call is None:
            raise ModelFault(f"{folder}: the SavedModel has no signature serving_default")
        _, given = self._call.structured_input_signature
        self._inputs = {name: _noise(tf, spec) for name, spec in given.items()}

    def run(self) -> None:
        self.outputs()

    def outputs(self) -> list[Any]:
        return [one.numpy() for one in self._call(**self._inputs).values()]


def _noise(tf: Any, spec: Any) -> Any:
    shape = [1 if size is None else size for size in spec.shape]
    if spec.dtype.is_floating:
        return tf.random.stateless_uniform(shape, seed=(0, 0), dtype=spec.dtype)
    return tf.zeros(shape, spec.dtype)
