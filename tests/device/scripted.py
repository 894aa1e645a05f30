"""A device that makes its measurements up, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from hwnas.device import Canary, Device, Environment, Measurement, Model, Percentiles, Timing
from hwnas.device._runtimes.onnxruntime import OnnxRuntime
from hwnas.errors import ModelFault

WHERE = Environment(
    platform="", python="", cpu="", cores=1, accelerator="cpu", runtime="script",
    runtime_version="1", torch_version="", threads=1, batch_size=1, precision="fp32", clock="wall",
)  # fmt: skip


def measurement(ms: float = 1.0, reference: float = 1.0) -> Measurement:
    return Measurement(
        device="script", metric="latency", unit="ms", median=ms, low=0.99 * ms, high=1.01 * ms,
        confidence=0.95, n=8, samples=Percentiles(ms, ms, ms), raw_median=ms,
        canary=Canary(reference, reference), converged=True, warnings=(), environment=WHERE,
    )  # fmt: skip


class Scripted(Device):
    """Each model takes `ms(model)`, or fails if that is None."""

    def __init__(
        self,
        ms: Callable[[Model], float | None] = lambda model: 1.0,
        reference: float = 1.0,
        **conditions: str | int,
    ) -> None:
        self.name, self._ms, self.reference = "script", ms, reference
        self._conditions = conditions
        self.models: list[Model] = []
        self.calls: list[tuple[int, Timing | None, bool]] = []

    @property
    def conditions(self) -> dict[str, str | int]:
        return {"device": self.name, "batch_size": 1, **self._conditions}

    def measure_each(
        self, models: Sequence[Model], inputs, *, timing: Timing | None = None, parts: bool = False
    ) -> list[Measurement | ModelFault]:
        self.calls.append((len(models), timing, parts))
        results: list[Measurement | ModelFault] = []
        for index, model in enumerate(models):
            self.models.append(model)
            given = inputs[index] if isinstance(inputs, list) else inputs
            if isinstance(model, nn.Module):
                model(*given)
            else:
                OnnxRuntime().load(model, given)
            ms = self._ms(model)
            assert self.reference is not None
            results.append(
                ModelFault(f"model {index + 1} is broken")
                if ms is None
                else measurement(ms, self.reference)
            )
        return results

    def close(self) -> None: ...
