"""The contracts of devices and runtimes."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from torch import Tensor, nn

from hwnas.device._closing import Closing
from hwnas.device._faults import naming
from hwnas.device._measurement import Measurement
from hwnas.device._runtimes.agreement import check_agreement, check_finite, eager_outputs
from hwnas.device._timing.memory import PeakMemory
from hwnas.device._timing.runnable import Runnable, started_copies
from hwnas.device._timing.timing import Timing
from hwnas.errors import DeviceError, ModelFault

Model: TypeAlias = "nn.Module | Path | str"
"""A PyTorch module, or the path of an ONNX file."""

Inputs: TypeAlias = "tuple[Tensor, ...]"
"""Example tensors, in the order of the forward's arguments, batch dimension included."""


class Device(Closing):
    """Something that measures models.

    Contract:
    - `measure` returns one `Measurement` per model, in order, or raises `DeviceError`. There is no
      other way to fail: never NaN, never zero, never a shorter list. The message names the model.
    - `measure_each` gives a model that cannot be measured a `ModelFault` in its place, and measures
      the others.
    - Models are measured in inference mode and left unchanged: weights, training flags, hooks.
    - Unless the device says otherwise, the metric is the latency in ms of one call for the whole
      batch, and lower is better.
    - `measure` may be called from any thread; calls of one host happen one after the other.
    - A device survives a model that fails, hangs or kills its process: the next call works.
    - `close` frees what the device holds and may be called twice; measuring again reopens it.
    """

    name: str
    reference: float | None = None
    """The canary's latency (ms) that values are normalised to, where there is one, once known."""
    timing: Timing | None = None
    """When a measurement is good enough, if this device does the timing."""

    @property
    def conditions(self) -> dict[str, str | int]:
        """What tells its measurements from others' in a `MeasurementStore`, as far as it knows."""
        return {"device": self.name}

    def measure(
        self,
        models: Sequence[Model],
        inputs: Tensor | tuple[Tensor, ...] | list[tuple[Tensor, ...]],
    ) -> list[Measurement]:
        """Measure `models`, all of them or none; see `measure_each` for the arguments.

        Raises:
            DeviceError: a model could not be measured (`ModelFault`; the message says which and
                why), or the device cannot measure anything.
        """
        results: list[Measurement] = []
        for one in self.measure_each(models, inputs):
            if isinstance(one, ModelFault):
                raise one
            results.append(one)
        return results

    @abstractmethod
    def measure_each(
        self,
        models: Sequence[Model],
        inputs: Tensor | tuple[Tensor, ...] | list[tuple[Tensor, ...]],
        *,
        timing: Timing | None = None,
        parts: bool = False,
    ) -> list[Measurement | ModelFault]:
        """Measure `models`, interleaved with one another where the device can.

        Args:
            models: modules or paths of ONNX files.
            inputs: a tensor, or a tuple of tensors for a forward with several arguments, that
                serves every model; or a list with one tuple per model. With batch dimension.
            timing: for this call; None takes the device's own. A device that does no timing of
                its own passes it over.
            parts: the models are parts of networks, whose inputs need not begin with the batch.

        Returns a measurement, or the reason that there is none, for each model in order.

        Raises:
            DeviceError: the device cannot measure anything, or was asked for what makes no sense.
        """


@dataclass(frozen=True)
class Prepared:
    """What a runtime loads a model from: a file, or a module; and its size on disk in bytes."""

    source: nn.Module | Path
    size: int


class Runtime(ABC):
    """What executes a model: one member of the entry-point group `hwnas.runtimes`.

    Contract:
    - The constructor takes the keywords `threads`, `precision` and `accelerator`, and raises
      `DeviceError` for a combination that the runtime does not have, and where its library or a
      tool that it needs is not installed. One with a `session` also takes `here`: False where it
      prepares files for another host.
    - `load` leaves the model unchanged, runs it in inference mode, and raises `DeviceError` if the
      model cannot be loaded or does not compute what the eager model computes.
    - The model runs on `threads` threads, no more; the calling thread is one of them.
    - Not thread safe: a runtime belongs to one measuring process.
    """

    name: ClassVar[str]
    precisions: ClassVar[Mapping[str, tuple[str, ...]]] = {"cpu": ("fp32",)}
    """By accelerator (`cpu`, `cuda`), what the runtime can compute in: `fp32`, `fp16`, `bf16`,
    `int8` (static quantisation, calibrated on the inputs given to `load`), `int8-dynamic`."""
    reads_onnx: ClassVar[bool] = False
    """Whether `load` takes ONNX files, and exports modules to ONNX itself."""
    time_limit: ClassVar[float] = 60.0
    """Seconds in which a model should be loaded, also a large one on a slow host."""
    copies: ClassVar[int] = 3
    """How often a measuring process loads a model, on the CPU: see `time_models`."""

    session: ClassVar[str | None] = None
    """The module that runs prepared files on hosts without hwnas and PyTorch; None: they are not
    run elsewhere. It is sent there as it is, so it imports the standard library and the runtime's
    own alone, works in Python 3.8, and has what `_runtimes/onnxruntime_session.py` has: a function
    `version(precision, accelerator)` and a class `Session`."""

    def __init__(
        self,
        *,
        threads: int = 1,
        precision: str = "fp32",
        accelerator: str = "cpu",
        here: bool = True,
    ) -> None:
        for what, value, known in (
            ("accelerator", accelerator, tuple(self.precisions)),
            ("precision", precision, self.precisions.get(accelerator, ())),
        ):
            if value not in known:
                where = f" on '{accelerator}'" if what == "precision" else ""
                raise DeviceError(
                    f"runtime '{self.name}' has no {what} '{value}'{where}; "
                    f"it has {', '.join(known)}"
                )
        self.threads, self.precision, self.accelerator = threads, precision, accelerator
        if here:
            self._check_host()

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

    def _check_host(self) -> None:  # noqa: B027 - some need nothing
        """Raise DeviceError where this host lacks the library, or cannot do what is asked for."""

    @abstractmethod
    def _prepare(self, model: Model, inputs: Inputs, folder: Path) -> Prepared:
        """What would be deployed: exported, converted, quantised; files go into `folder`.

        `model` may not be changed.
        """

    @abstractmethod
    def _start(self, prepared: Prepared, inputs: Inputs) -> Runnable:
        """Load it, as the deployed program would; not run yet."""

    def _memory(self) -> PeakMemory | None:
        """The meter of the memory that the model takes, where there is one."""
        return PeakMemory()

    def prepare(self, model: Model, inputs: Inputs, folder: Path) -> Prepared:
        """What `load` starts; files lie in `folder`. ModelFault if there is no such form of it."""
        with naming():
            return self._prepare(model, inputs, folder)

    def load(self, model: Model, inputs: Inputs, *, check: bool = True) -> Runnable:
        """Prepare `model` to be run on `inputs` (kept, not copied).

        Args:
            check: compare the outputs with the eager model's on the CPU, where `model` is one.

        Raises:
            ModelFault: the model cannot be loaded, its outputs hold NaN, or they differ from the
                eager ones by more than the precision explains.
        """
        return self.load_copies(model, inputs, 1, check=check)[0]

    def load_copies(
        self, model: Model, inputs: Inputs, count: int, *, check: bool = True
    ) -> list[Runnable]:
        """Load it `count` times, each with weights, activations and inputs of its own.

        The further copies are there to be timed: what loading took, and the check, are the
        first's. See `load` for the arguments and errors.
        """
        with naming(), tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
            prepared = self.prepare(model, inputs, Path(folder))
            loaded, outputs = started_copies(
                lambda given: self._start(prepared, given),
                [inputs, *(tuple(x.clone() for x in inputs) for _ in range(1, count))],
                prepared.size,
                self._memory(),
                one_thread=self.threads == 1 and self.accelerator == "cpu",
            )
            check_finite(outputs, self.name)
            if check and isinstance(model, nn.Module):
                check_agreement(eager_outputs(model, inputs), outputs, self.name, self.rounding)
        return loaded


def arrays_of(inputs: Inputs) -> list[Any]:
    """The inputs as C-contiguous arrays of numpy; ModelFault for a type that numpy lacks."""
    with naming("the inputs cannot be given to the runtime"):
        return [x.detach().cpu().contiguous().numpy() for x in inputs]
