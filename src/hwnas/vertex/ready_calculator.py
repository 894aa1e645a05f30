"""The latency calculator for those who have none: `python -m hwnas.vertex.ready_calculator`.

It measures what a trainer saved: an ONNX file, or TensorFlow's SavedModel where TensorFlow is
installed beside hwnas.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from hwnas.device import WorkerDevice, example_inputs, measure_saved_model
from hwnas.errors import DeviceError, HwnasError
from hwnas.jobs import find_device, open_at_hand
from hwnas.vertex.cloud_nas_utils import setup_logging
from hwnas.vertex.model_metrics_evaluator import ModelMetricsEvaluator

_MIB = 2**20


class ReadyCalculator(ModelMetricsEvaluator):
    """Measures ONNX and SavedModel on this host.

    Args:
        device: how ONNX files run: a name of `hwnas device list`, or `NAME=RUNTIME?threads=2`.
    """

    def __init__(self, *args: Any, device: str = "local", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._device: WorkerDevice = open_at_hand(find_device(device))

    def evaluate_saved_model(self, trial_id: int, saved_model_path: str) -> dict[str, Any]:
        """Latency, its 95 % interval, and memory; see `ModelMetricsEvaluator`.

        Raises:
            DeviceError: it is neither ONNX nor SavedModel, or cannot be measured.
        """
        model = _model_in(Path(saved_model_path))
        if model.is_dir():
            timed = measure_saved_model(model)
            return _answer(
                timed.median, timed.low, timed.high, timed.peak_memory_bytes, timed.device
            )
        inputs = example_inputs(str(model), self._device.batch_size)
        (found,) = self._device.measure([model], inputs)
        where = found.environment
        kind = where.cpu if where.accelerator == "cpu" else where.accelerator
        return _answer(found.median, found.low, found.high, found.peak_memory_bytes, kind)


def _answer(
    median: float, low: float, high: float, memory: int | None, kind: str
) -> dict[str, Any]:
    return {
        "latency_in_milliseconds": median,
        "latency_low_in_milliseconds": low,
        "latency_high_in_milliseconds": high,
        "model_memory": 0.0 if memory is None else memory / _MIB,
        "device_type": kind,
    }


def _model_in(path: Path) -> Path:
    """The ONNX file, or the folder of a SavedModel."""
    if path.is_file() and path.suffix == ".onnx":
        return path
    files = sorted(path.glob("*.onnx"))
    if len(files) > 1:
        raise DeviceError(f"{path} holds {len(files)} ONNX files; save one, or wait for that one")
    if files:
        return files[0]
    if (path / "saved_model.pb").is_file():
        return path
    raise DeviceError(f"{path} holds neither an ONNX file nor saved_model.pb")


def main() -> None:
    """Serve a job until it ends; flags as Vertex gives them to calculators, and `--device`."""
    parser = argparse.ArgumentParser(prog="ready_calculator", allow_abbrev=False)
    parser.add_argument("--nas_job_id", required=True)
    parser.add_argument("--project_id", default="")
    parser.add_argument("--service_endpoint", default="")
    parser.add_argument("--latency_worker_id", type=int, default=0)
    parser.add_argument("--num_latency_workers", type=int, default=1)
    parser.add_argument("--device", default="local")
    settings = vars(parser.parse_args())
    setup_logging()
    try:
        ReadyCalculator(**settings).run_continuous_evaluation_loop()
    except HwnasError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
