"""What a worker does with a model: the contract, and measuring on a device."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import DeviceError, ModelFault

if TYPE_CHECKING:
    from hwnas.device import Device, Measurement, Model


class Evaluator(ABC):
    """Tells costs of a model. A worker has one, and calls it from one thread.

    A subclass for hardware of your own needs nothing but `evaluate`: copy the model to the board,
    run it, return the numbers.

    What `evaluate` raises fails this model and no other; the worker goes on. `InfeasibleModel`
    says that the device can never run the model, which is a result.
    """

    @abstractmethod
    def evaluate(self, trial_id: int, model_path: Path) -> dict[str, float]:
        """Costs by name, such as `{"latency": 12.3}` in ms; see `hwnas.cost.METRICS` for units.

        Args:
            trial_id: the number of the trial; 0 for a model of no trial.
            model_path: an ONNX file, gone after the call.
        """

    def calibrate(self, model_path: Path) -> dict[str, float] | None:
        """Costs of a small fixed network, asked for when the worker starts.

        By them workers of one device name are compared. By default it is evaluated as any other.
        None, or an error, leaves the comparison out: not every board takes every network.

        Args:
            model_path: an ONNX file whose input is a float32 image, 1 x 3 x 32 x 32.
        """
        return self.evaluate(0, model_path)

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Free what is held; called once, when the worker ends."""


class InfeasibleModel(ModelFault):
    """The device cannot run this model, and never will: out of memory, an operator it lacks."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "infeasible")


class DeviceEvaluator:
    """Measures latency on a `Device`, with the inputs that were asked for."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def measure(
        self, model: Model, inputs: Path, timing: dict[str, Any] | None, *, parts: bool = False
    ) -> Measurement:
        """The measurement of an ONNX file; `inputs` as in a `Request`.

        Raises:
            ModelFault: the model cannot be measured.
        """
        from safetensors.torch import load_file

        from hwnas.device import Timing, where_of

        tensors = load_file(inputs)
        given = tuple(tensors[str(index)] for index in range(len(tensors)))
        wanted = None if timing is None else Timing.from_dict(timing)
        (found,) = self.device.measure_each([model], [given], timing=wanted, parts=parts)
        if isinstance(found, ModelFault):  # who asked has other names for device and model
            named = f"device '{self.device.name}': {where_of([model], 0)}: "
            raise ModelFault(str(found).removeprefix(named), found.kind)
        return found

    def close(self) -> None:
        """Free the device."""
        self.device.close()


def numbers(found: Any) -> dict[str, float]:
    """What an evaluator told: finite numbers by name, none of them negative, no latency of zero.

    Raises:
        DeviceError: it is something else.
    """
    if not isinstance(found, dict) or not found:
        raise DeviceError(f"the evaluator returned {found!r}, not a dict of numbers")
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise DeviceError(f"the evaluator returned {name} = {value!r}, not a finite number")
        if value < 0 or (name == "latency" and value == 0):
            raise DeviceError(f"the evaluator returned {name} = {value!r}; it must be positive")
    return {str(name): float(value) for name, value in found.items()}
