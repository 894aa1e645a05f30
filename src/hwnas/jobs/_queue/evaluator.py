"""What a worker does with a model: the contract, and measuring on a device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwnas.device import Device


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

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Free what is held; called once, when the worker ends."""


class InfeasibleModel(Exception):
    """The device cannot run this model, and never will: out of memory, an operator it lacks."""


class DeviceEvaluator:
    """Measures latency on a `Device`, with the inputs that were asked for."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def measure(self, model: Path, inputs: Path, timing: dict[str, Any] | None) -> Any:
        """The measurement of an ONNX file.

        Raises:
            ModelFault: the model cannot be measured.
        """
        from safetensors.torch import load_file

        from hwnas.device import Timing
        from hwnas.errors import ModelFault

        tensors = load_file(inputs)
        given = tuple(tensors[str(index)] for index in range(len(tensors)))
        wanted = None if timing is None else Timing.from_dict(timing)
        (found,) = self.device.measure_each([model], [given], timing=wanted)
        if isinstance(found, ModelFault):
            raise found
        return found

    def close(self) -> None:
        """Free the device."""
        self.device.close()
