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
from hwnas.device._base import Device, Inputs, Model, Runtime
from hwnas.device._inputs import per_model
from hwnas.device._lock import host_lock
from hwnas.device._measurement import Measurement
from hwnas.device._memory import host_memory
from hwnas.device._paths import cache_folder
from hwnas.device._process import WorkerLost, WorkerProcess
from hwnas.device._timing import Timing
from hwnas.errors import DeviceError, ModelFault


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
        precision: of the arithmetic: `fp32`, `fp16`, `bf16`, `int8` (static quantisation, with
            ranges from the inputs), `int8-dynamic`, as far as the runtime has it.
        accelerator: `cpu`, or `cuda` where the runtime has it.
        reference: the canary's latency (ms) to normalise to; None takes the first one measured.
            Give a stored `reference` to compare with measurements of another time.
        timing: when a measurement is good enough.
        time_limit: seconds for one model, to load and then to be timed; after that it counts as
            hung. None takes what the runtime deems enough.
        memory_limit: bytes of private memory of the worker, beyond which a model is out of memory;
            None takes what the host has. Not kept on a GPU, whose driver maps far more.
        energy: measure the energy of a call, too, where there is a meter: a second more per model.
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
        time_limit: float | None = None,
        memory_limit: int | None = None,
        energy: bool = False,
        check: bool = True,
    ) -> None:
        for what, value in (("threads", threads), ("batch_size", batch_size)):
            if value < 1:
                raise DeviceError(f"{what} of device '{name}' must be at least 1, not {value}")
        if reference is not None and not 0 < reference < float("inf"):
            raise DeviceError(f"reference of device '{name}' must be positive, not {reference}")
        # Made once here, so that a wrong combination fails now and not at the first measurement.
        made: Runtime = _plugins.load("runtimes", runtime)(
            threads=threads, precision=precision, accelerator=accelerator
        )
        self.name, self.runtime, self.threads = name, runtime, threads
        self.batch_size, self.precision, self.accelerator = batch_size, precision, accelerator
        self.reference = reference
        self.timing = timing or Timing()
        self._time_limit = made.time_limit if time_limit is None else time_limit
        self._settings: dict[str, Any] = {
            "device": name,
            "runtime": runtime,
            "threads": threads,
            "batch_size": batch_size,
            "precision": precision,
            "accelerator": accelerator,
            "timing": asdict(self.timing),
            "check": check,
            "energy": energy,
            "memory_limit": None if accelerator != "cpu" else memory_limit or host_memory(),
        }
        self._conditions: dict[str, str | int] = {
            "device": name,
            "runtime": runtime,
            "runtime_version": made.version,
            "threads": threads,
            "batch_size": batch_size,
            "precision": precision,
            "accelerator": made.hardware,
            "metric": "latency",
        }
        self._worker: WorkerProcess | None = None
        self._mutex = threading.Lock()

    @property
    def conditions(self) -> dict[str, str | int]:
        """All that a store knows of a measurement."""
        return dict(self._conditions)

    def measure_each(
        self,
        models: Sequence[Model],
        inputs: Tensor | tuple[Tensor, ...] | list[tuple[Tensor, ...]],
        *,
        timing: Timing | None = None,
        parts: bool = False,
    ) -> list[Measurement | ModelFault]:
        """Latency in ms of one call of each model on the whole batch; see `Device.measure_each`."""
        if isinstance(models, (str, Path, nn.Module)):
            raise DeviceError(f"device '{self.name}' measures a list of models: [model]")
        each = per_model(inputs, len(models))
        for index, tensors in enumerate([] if parts else each):
            self._check_batch(_where(models, index), tensors)
        results: dict[int, Measurement | ModelFault] = {}
        groups = [list(range(len(models)))]
        with self._mutex, host_lock():
            while groups:
                if group := groups.pop():
                    left = self._measure_group(group, models, each, results, timing)
                    groups.extend(reversed(left))
        return [results[index] for index in range(len(models))]

    def _measure_group(
        self,
        group: list[int],
        models: Sequence[Model],
        inputs: Sequence[Inputs],
        results: dict[int, Measurement | ModelFault],
        timing: Timing | None,
    ) -> list[list[int]]:
        """Measure some of the models together; returns the groups that are left to measure."""
        request = _Request()
        for index in group:
            try:
                request.add(_where(models, index), models[index], inputs[index])
            except ModelFault as error:
                results[index] = self._named(error)
        sent = [index for index in group if index not in results]
        if not sent:
            return []
        header = {
            "models": request.entries,
            "reference": self.reference,
            "timing": None if timing is None else asdict(timing),
        }
        try:
            reply = self._open().request(header, request.parts, self._time_limit)
        except WorkerLost as error:
            # One that dies while it is timed does not tell which model it was timing.
            if error.model is None and len(sent) > 1:
                return [[index] for index in sent]
            lost = sent[error.model or 0]
            results[lost] = self._named(error, _where(models, lost))
            return [[index for index in sent if index != lost]]
        except DeviceError as error:
            raise DeviceError(f"device '{self.name}': {error}") from error
        for index, one in zip(sent, reply["results"], strict=True):
            if "fault" in one:
                results[index] = self._named(ModelFault(**one["fault"]))
                continue
            measurement = Measurement.from_dict(one["measurement"])
            results[index] = measurement
            if self.reference is None and measurement.canary is not None:
                self.reference = measurement.canary.reference
        return []

    def _named(self, error: ModelFault, where: str = "") -> ModelFault:
        """The fault with the names of this device and of the model."""
        text = str(error)
        text = text if where in text else f"{where}: {text}"
        return ModelFault(f"device '{self.name}': {text}", error.kind)

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

    def _check_batch(self, where: str, inputs: Inputs) -> None:
        shape = tuple(inputs[0].shape)
        if not shape or shape[0] != self.batch_size:
            raise DeviceError(
                f"{where}: its first input has shape {shape}, but device '{self.name}' measures "
                f"batches of {self.batch_size}"
            )


class _Request:
    """What is sent to the worker: JSON entries, with tensors and modules as binary parts."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.parts: list[bytes] = []
        self._packed: dict[int, int] = {}  # inputs that several models share travel once

    def add(self, where: str, model: Model, inputs: Inputs) -> None:
        """Pack a model; ModelFault if it cannot be sent."""
        entry: dict[str, Any] = {"where": where}
        if isinstance(model, nn.Module):
            module = _pack_module(where, model)
            entry["module"] = len(self.parts)
            self.parts.append(module)
        else:
            entry["onnx"] = str(Path(model).resolve())
        if id(inputs) not in self._packed:
            self._packed[id(inputs)] = len(self.parts)
            self.parts.append(_pack_tensors(inputs))
        entry["inputs"] = self._packed[id(inputs)]
        self.entries.append(entry)


def _where(models: Sequence[Model], index: int) -> str:
    model = models[index]
    label = type(model).__name__ if isinstance(model, nn.Module) else Path(model).name
    return f"model {index + 1} of {len(models)} ({label})"


def _pack_tensors(inputs: Inputs) -> bytes:
    named = {str(index): x.detach().cpu().contiguous().clone() for index, x in enumerate(inputs)}
    return cast("bytes", safetensors.torch.save(named))


def _pack_module(where: str, model: nn.Module) -> bytes:
    try:
        return cast("bytes", cloudpickle.dumps(model))
    except (pickle.PicklingError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelFault(f"{where} cannot be sent to the measuring process: {error}") from error


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
        # Inductor loads code from its cache, which by default lies in the shared temp folder, and
        # would compile in processes of its own, which might still run while a model is timed.
        "TORCHINDUCTOR_CACHE_DIR": os.environ.get("TORCHINDUCTOR_CACHE_DIR")
        or str(cache_folder() / "inductor"),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        # Modules are found where this process finds them, and nowhere else.
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "PYTHONSAFEPATH": "1",
    }
