"""What devices have in common that measure in a worker process, here or on another host."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from hwnas import _plugins
from hwnas.device._base import Device, Inputs, Model, Runtime
from hwnas.device._inputs import per_model
from hwnas.device._measurement import Environment, Measurement
from hwnas.device._timing.engine import Samples, Usage
from hwnas.device._timing.summary import Take, summarise
from hwnas.device._timing.timing import Timing
from hwnas.device._worker.process import WorkerLost
from hwnas.errors import DeviceError, ModelFault, UsageError

PROCESS_STD = 0.007
"""Between measuring processes of one host, of networks of 2 to 20 ms in ONNX Runtime."""


class Request:
    """What is sent to a worker: JSON entries, one for each model, with binary parts."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.parts: list[bytes] = []
        self._shared: dict[int, int] = {}

    def add_part(self, data: bytes) -> int:
        """Add a part; its number."""
        self.parts.append(data)
        return len(self.parts) - 1

    def add_inputs(self, inputs: Inputs, packed: bytes) -> int:
        """Add inputs as a part, once where several models share them."""
        if id(inputs) not in self._shared:
            self._shared[id(inputs)] = self.add_part(packed)
        return self._shared[id(inputs)]


class WorkerDevice(Device):
    """Measures latency in a worker process with a pinned environment.

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
        process_std: by which the latency of the same network differs between measuring processes,
            as a relative standard deviation. It is part of every interval. `check_health` measures
            it; None takes what we measured.
        time_limit: seconds for one model, to load and then to be timed; after that it counts as
            hung. None takes what the runtime deems enough.
        memory_limit: bytes of private memory of the worker, beyond which a model is out of memory;
            None takes what the host has. Not kept on a GPU, whose driver maps far more.
        energy: measure the energy of a call, too, where there is a meter: a second more per model.
        check: compare what the runtime computes with the eager model.
    """

    _here = True

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
        process_std: float | None = None,
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
        if process_std is not None and not 0 <= process_std < 1:
            raise DeviceError(f"process_std of device '{name}' must lie in 0 to 1: {process_std}")
        # Made once here, so that a wrong combination fails now and not at the first measurement.
        self._made = _make(runtime, threads, precision, accelerator, here=self._here)
        self.name, self.runtime, self.threads = name, runtime, threads
        self.batch_size, self.precision, self.accelerator = batch_size, precision, accelerator
        self.reference = reference
        self.timing = timing or Timing()
        self.process_std = PROCESS_STD if process_std is None else process_std
        self._check = check
        self._time_limit = self._made.time_limit if time_limit is None else time_limit
        self._settings: dict[str, Any] = {
            "runtime": runtime,
            "threads": threads,
            "batch_size": batch_size,
            "precision": precision,
            "accelerator": accelerator,
            "copies": self._made.copies if accelerator == "cpu" else 1,
            "check": check,
            "energy": energy,
            "memory_limit": memory_limit,
        }
        self._mutex = threading.Lock()

    @property
    def conditions(self) -> dict[str, str | int]:
        """What a store knows of a measurement, as far as it is known before the first one."""
        return {
            "device": self.name,
            "runtime": self.runtime,
            "threads": self.threads,
            "batch_size": self.batch_size,
            "precision": self.precision,
            "metric": "latency",
        }

    @abstractmethod
    def _pack(self, request: Request, where: str, model: Model, inputs: Inputs) -> dict[str, Any]:
        """Add a model's parts to the request, and return its entry; ModelFault if that fails."""

    @abstractmethod
    def _exchange(
        self, header: dict[str, Any], parts: Sequence[bytes]
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Send a request to the worker, which is started where there is none.

        Raises:
            WorkerLost: it died or was killed at the time limit.
            DeviceError: nothing can be measured.
        """

    @abstractmethod
    def _end(self) -> None:
        """End the worker, if there is one; the next request starts a fresh one."""

    def _verify(self, model: Model, inputs: Inputs, outputs: bytes) -> None:
        """Raise ModelFault if the outputs that came back are not the model's."""

    def _lock(self) -> AbstractContextManager[None]:
        """What is held while measuring."""
        return nullcontext()

    def measure_each(
        self,
        models: Sequence[Model],
        inputs: Tensor | tuple[Tensor, ...] | list[tuple[Tensor, ...]],
        *,
        timing: Timing | None = None,
        parts: bool = False,
    ) -> list[Measurement | ModelFault]:
        """Latency in ms of one call of each model on the whole batch; see `Device.measure_each`."""
        each = per_model(inputs, models)
        for index, tensors in enumerate([] if parts else each):
            self._check_batch(where_of(models, index), tensors)
        wanted = timing or self.timing or Timing()
        takes: dict[int, list[Take]] = {index: [] for index in range(len(models))}
        faults: dict[int, ModelFault] = {}
        with self._mutex, self._lock():
            for _ in range(wanted.processes):
                if wanted.processes > 1:
                    self._end()
                groups = [[index for index in takes if index not in faults]]
                while groups:
                    if group := groups.pop():
                        one = wanted.of_one(self.process_std)
                        left = self._measure_group(group, models, each, takes, faults, one)
                        groups.extend(reversed(left))
            return [
                faults[index] if index in faults else self._summarised(takes[index], wanted)
                for index in range(len(models))
            ]

    def close(self) -> None:
        """End the measuring process."""
        with self._mutex:
            self._end()

    def _measure_group(
        self,
        group: list[int],
        models: Sequence[Model],
        inputs: Sequence[Inputs],
        takes: dict[int, list[Take]],
        faults: dict[int, ModelFault],
        timing: Timing,
    ) -> list[list[int]]:
        """Measure some of the models together; returns the groups that are left to measure."""
        request = Request()
        for index in group:
            where = where_of(models, index)
            try:
                entry = self._pack(request, where, models[index], inputs[index])
            except ModelFault as error:
                faults[index] = self._named(error, where)
            else:
                request.entries.append({"where": where, **entry})
        sent = [index for index in group if index not in faults]
        if not sent:
            return []
        try:
            header = {"models": request.entries, "timing": asdict(timing)}
            reply, outputs = self._exchange(header, request.parts)
        except WorkerLost as error:
            # One that dies while it is timed does not tell which model it was timing.
            if error.model is None and len(sent) > 1:
                return [[index] for index in sent]
            lost = sent[error.model or 0]
            faults[lost] = self._named(error, where_of(models, lost))
            return [[index for index in sent if index != lost]]
        except DeviceError as error:
            raise DeviceError(f"device '{self.name}': {error}") from error
        for index, one, data in zip(sent, reply["results"], outputs, strict=True):
            try:
                if "fault" in one:
                    raise ModelFault(**one["fault"])
                self._verify(models[index], inputs[index], data)
            except ModelFault as error:
                faults[index] = self._named(error, where_of(models, index))
            else:
                take = Take(
                    Samples(**one["samples"]),
                    reply["canary"],
                    Usage(**reply["usage"]),
                    Environment.from_dict(reply["environment"]),
                )
                takes[index].append(take)
        return []

    def _summarised(self, takes: list[Take], timing: Timing) -> Measurement:
        one = summarise(
            takes,
            device=self.name,
            timing=timing,
            reference=self.reference,
            process_std=self.process_std,
        )
        if self.reference is None and one.canary is not None:
            self.reference = one.canary.reference
        return one

    def _named(self, error: ModelFault, where: str) -> ModelFault:
        """The fault with the names of this device and of the model."""
        text = str(error)
        text = text if where in text else f"{where}: {text}"
        return ModelFault(f"device '{self.name}': {text}", error.kind)

    def _check_batch(self, where: str, inputs: Inputs) -> None:
        shape = tuple(inputs[0].shape)
        if not shape or shape[0] != self.batch_size:
            raise DeviceError(
                f"{where}: its first input has shape {shape}, but device '{self.name}' measures "
                f"batches of {self.batch_size}"
            )


def where_of(models: Sequence[Model], index: int) -> str:
    """A model of a batch in words."""
    model = models[index]
    label = type(model).__name__ if isinstance(model, nn.Module) else Path(model).name
    return f"model {index + 1} of {len(models)} ({label})"


def _make(runtime: str, threads: int, precision: str, accelerator: str, *, here: bool) -> Runtime:
    kind = _plugins.load("runtimes", runtime)
    options = {"threads": threads, "precision": precision, "accelerator": accelerator}
    if here:
        return cast("Runtime", kind(**options))
    if kind.session is None:
        able = [n for n in _plugins.names("runtimes") if _plugins.load("runtimes", n).session]
        raise UsageError(f"runtime '{runtime}' works on this host alone; use {' or '.join(able)}")
    return cast("Runtime", kind(**options, here=False))
