"""The contracts of devices and runtimes."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, TypeAlias, TypeVar

from torch import Tensor, nn

from hwnas.device._measurement import Measurement
from hwnas.errors import DeviceError

_Device = TypeVar("_Device", bound="Device")

Model: TypeAlias = "nn.Module | Path | str"
"""A PyTorch module, or the path of an ONNX file."""

Inputs: TypeAlias = "tuple[Tensor, ...]"
"""Example tensors, in the order of the forward's arguments, batch dimension included."""


class Device(ABC):
    """Something that measures models.

    Contract:
    - `measure` returns one `Measurement` per model, in order, or raises `DeviceError`. There is no
      other way to fail: never NaN, never zero, never a shorter list. The message names the model.
    - Models are measured in inference mode and left unchanged: weights, training flags, hooks.
    - Unless the device says otherwise, the metric is the latency in ms of one call for the whole
      batch, and lower is better.
    - `measure` may be called from any thread; calls of one host happen one after the other.
    - A device survives a model that fails, hangs or kills its process: the next call works.
    - `close` frees what the device holds and may be called twice; measuring again reopens it.
    """

    name: str

    @abstractmethod
    def measure(
        self,
        models: Sequence[Model],
        inputs: Tensor | tuple[Tensor, ...] | list[tuple[Tensor, ...]],
    ) -> list[Measurement]:
        """Measure `models`, interleaved with one another where the device can.

        Args:
            models: modules or paths of ONNX files.
            inputs: a tensor, or a tuple of tensors for a forward with several arguments, that
                serves every model; or a list with one tuple per model. With batch dimension.

        Raises:
            DeviceError: a model could not be measured; the message says which and why.
        """

    @abstractmethod
    def close(self) -> None:
        """Free processes, connections and locks."""

    def __enter__(self: _Device) -> _Device:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Runnable(ABC):
    """A model loaded by a runtime together with its inputs, ready to run again and again.

    `clock` is `wall`; `cpu`, the CPU time of the calling thread, where that thread does all the
    work: on a quiet host the two agree, and only the second is blind to others that take turns on
    the CPU; or `cuda events`.
    """

    clock: str = "wall"

    @abstractmethod
    def run(self) -> None:
        """One inference; the outputs are dropped."""

    @abstractmethod
    def outputs(self) -> list[Tensor]:
        """One inference; its outputs flattened, on the CPU."""

    def block(self, calls: int) -> float:
        """Seconds by `clock` that `calls` inferences in a row take, the last one's end included."""
        now = time.thread_time if self.clock == "cpu" else time.perf_counter
        run = self.run
        start = now()
        for _ in range(calls):
            run()
        return now() - start


class Runtime(ABC):
    """What executes a model: one member of the entry-point group `hwnas.runtimes`.

    Contract:
    - The constructor takes the keywords `threads`, `precision` and `accelerator`, and raises
      `DeviceError` for a combination that the runtime does not have.
    - `load` leaves the model unchanged, runs it in inference mode, and raises `DeviceError` if the
      model cannot be loaded or does not compute what the eager model computes.
    - Not thread safe: a runtime belongs to one measuring process.
    """

    name: ClassVar[str]
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    accelerators: ClassVar[tuple[str, ...]] = ("cpu",)
    reads_onnx: ClassVar[bool] = False
    """Whether `load` takes ONNX files, and exports modules to ONNX itself."""

    def __init__(
        self, *, threads: int = 1, precision: str = "fp32", accelerator: str = "cpu"
    ) -> None:
        for what, value, known in (
            ("precision", precision, self.precisions),
            ("accelerator", accelerator, self.accelerators),
        ):
            if value not in known:
                raise DeviceError(
                    f"runtime '{self.name}' has no {what} '{value}'; it has {', '.join(known)}"
                )
        self.threads, self.precision, self.accelerator = threads, precision, accelerator

    @property
    @abstractmethod
    def version(self) -> str:
        """The version of the runtime's library."""

    @property
    def hardware(self) -> str:
        """The name of the accelerator; "cpu" for the host's processor."""
        return self.accelerator

    @property
    def rounding(self) -> str:
        """The precision whose rounding the results may show."""
        return self.precision

    @abstractmethod
    def _load(self, model: Model, inputs: Inputs) -> Runnable:
        """Prepare `model`; it may not be changed."""

    def load(self, model: Model, inputs: Inputs, *, check: bool = True) -> Runnable:
        """Prepare `model` to be run on `inputs` (kept, not copied).

        Args:
            check: compare the outputs with the eager model's on the CPU, where `model` is one.

        Raises:
            DeviceError: the model cannot be loaded, or its outputs differ from the eager ones.
        """
        from hwnas.device._agreement import check_agreement, eager_outputs

        runnable = self._load(model, inputs)
        if check and isinstance(model, nn.Module):
            expected = eager_outputs(model, inputs)
            check_agreement(expected, runnable.outputs(), self.name, self.rounding)
        if self.threads == 1 and self.accelerator == "cpu":
            runnable.clock = "cpu"
        return runnable
