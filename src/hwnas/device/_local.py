"""This host as a device."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import weakref
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import cloudpickle
import safetensors.torch
from torch import Tensor, nn

from hwnas import _plugins
from hwnas.device._base import Device, Inputs, Model
from hwnas.device._engine import Timing
from hwnas.device._lock import host_lock
from hwnas.device._measurement import Measurement
from hwnas.device._process import WorkerProcess
from hwnas.errors import DeviceError


class LocalDevice(Device):
    """Measures latency on this host, in a worker process with a pinned environment.

    The worker has as many CPUs and threads as asked and an allocator that keeps its memory. It
    serves many calls and is replaced when a model kills it. One measurement at a time runs on a
    host (per user); others wait.

    Models are timed in rounds, interleaved with a small fixed network, the canary, and reported at
    the canary's reference speed: what the host's drift does to both cancels. See `Measurement`.

    Args:
        name: what budgets and tables call it, as in `latency@name`.
        runtime: `onnxruntime`, `torch`, or another member of the entry points `hwnas.runtimes`.
        threads: of the runtime, and CPUs that the worker may use.
        batch_size: size of the first dimension of every input.
        precision: of the arithmetic: `fp32`, `fp16`, `bf16`, as far as the runtime has it.
        accelerator: `cpu`, or `cuda` where the runtime has it.
        reference: the canary's latency (ms) to normalise to; None takes the first one measured.
            Give a stored `reference` to compare with measurements of another time.
        timing: when a measurement is good enough.
        time_limit: seconds for one model, loading included; after that it counts as hung.
        check: compare what the runtime computes with the eager model.
    """

    def __init__(
        self,
        name: str = "local",
        *,
        runtime: str = "onnxruntime",
        threads: int = 1,
        batch_size: int = 1,
        precision: str = "fp32",
        accelerator: str = "cpu",
        reference: float | None = None,
        timing: Timing | None = None,
        time_limit: float = 60.0,
        check: bool = True,
    ) -> None:
        for what, value in (("threads", threads), ("batch_size", batch_size)):
            if value < 1:
                raise DeviceError(f"{what} of device '{name}' must be at least 1, not {value}")
        if reference is not None and not 0 < reference < float("inf"):
            raise DeviceError(f"reference of device '{name}' must be positive, not {reference}")
        # Made once here, so that a wrong combination fails now and not at the first measurement.
        _plugins.load("runtimes", runtime)(
            threads=threads, precision=precision, accelerator=accelerator
        )
        self.name, self.runtime, self.threads = name, runtime, threads
        self.batch_size, self.precision, self.accelerator = batch_size, precision, accelerator
        self.reference = reference
        self._time_limit = time_limit
        self._settings: dict[str, Any] = {
            "device": name,
            "runtime": runtime,
            "threads": threads,
            "batch_size": batch_size,
            "precision": precision,
            "accelerator": accelerator,
            "timing": asdict(timing or Timing()),
            "check": check,
        }
        self._worker: WorkerProcess | None = None
        self._mutex = threading.Lock()

    def measure(
        self,
        models: Sequence[Model],
        inputs: Tensor | tuple[Tensor, ...] | list[tuple[Tensor, ...]],
    ) -> list[Measurement]:
        """Latency in ms of one call of each model on the whole batch; see `Device.measure`."""
        if isinstance(models, (str, Path, nn.Module)):
            raise DeviceError(f"device '{self.name}' measures a list of models: [model]")
        header, parts = self._pack(models, _per_model(inputs, len(models)))
        if not models:
            return []
        with self._mutex, host_lock():
            header["reference"] = self.reference
            try:
                reply = self._open().request(header, parts, self._time_limit * len(models))
            except DeviceError as error:
                raise DeviceError(f"device '{self.name}': {error}") from error
            results = [Measurement.from_dict(one) for one in reply["results"]]
            if self.reference is None and results[0].canary is not None:
                self.reference = results[0].canary.reference
        return results

    def close(self) -> None:
        """End the worker process."""
        with self._mutex:
            if self._worker is not None:
                self._worker.kill()
                self._worker = None

    def _open(self) -> WorkerProcess:
        if self._worker is None or not self._worker.alive:
            self._worker = WorkerProcess(self._settings, _environment(self.threads))
            weakref.finalize(self, self._worker.kill)
        return self._worker

    def _pack(
        self, models: Sequence[Model], inputs: Sequence[Inputs]
    ) -> tuple[dict[str, Any], list[bytes]]:
        """The request: what is JSON, and the tensors and modules as binary parts."""
        parts: list[bytes] = []
        packed: dict[int, int] = {}  # inputs that several models share travel once
        entries = []
        for index, (model, tensors) in enumerate(zip(models, inputs, strict=True)):
            label = type(model).__name__ if isinstance(model, nn.Module) else Path(model).name
            where = f"model {index + 1} of {len(models)} ({label})"
            if id(tensors) not in packed:
                self._check_batch(where, tensors)
                packed[id(tensors)] = len(parts)
                parts.append(_pack_tensors(tensors))
            entry: dict[str, Any] = {"where": where, "inputs": packed[id(tensors)]}
            if isinstance(model, nn.Module):
                entry["module"] = len(parts)
                parts.append(_pack_module(where, model))
            else:
                entry["onnx"] = str(Path(model).resolve())
            entries.append(entry)
        return {"models": entries}, parts

    def _check_batch(self, where: str, inputs: Inputs) -> None:
        shape = tuple(inputs[0].shape)
        if not shape or shape[0] != self.batch_size:
            raise DeviceError(
                f"{where}: its first input has shape {shape}, but device '{self.name}' measures "
                f"batches of {self.batch_size}"
            )


def _per_model(
    inputs: Tensor | tuple[Tensor, ...] | list[tuple[Tensor, ...]], count: int
) -> list[Inputs]:
    if isinstance(inputs, Tensor):
        inputs = (inputs,)
    each = inputs if isinstance(inputs, list) else [inputs] * count
    if len(each) != count:
        raise DeviceError(f"{len(each)} tuples of inputs for {count} models; give one per model")
    for one in each:
        if not (isinstance(one, tuple) and one and all(isinstance(x, Tensor) for x in one)):
            raise DeviceError("inputs are a tensor, a tuple of tensors, or a list of such tuples")
    return each


def _pack_tensors(inputs: Inputs) -> bytes:
    named = {str(index): x.detach().cpu().contiguous().clone() for index, x in enumerate(inputs)}
    return cast("bytes", safetensors.torch.save(named))


def _pack_module(where: str, model: nn.Module) -> bytes:
    try:
        return cast("bytes", cloudpickle.dumps(model))
    except (pickle.PicklingError, TypeError, AttributeError, RuntimeError) as error:
        raise DeviceError(f"{where} cannot be sent to the measuring process: {error}") from error


def _environment(threads: int) -> dict[str, str]:
    """The worker's environment variables: those that must be set before it starts."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        # glibc gives large blocks back to the kernel at each free and pays for it in page faults.
        "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
        "MALLOC_TOP_PAD_": str(64 << 20),
        # Modules are found where this process finds them, and nowhere else.
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "PYTHONSAFEPATH": "1",
    }
