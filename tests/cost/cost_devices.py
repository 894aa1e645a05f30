"""A space cut into few parts, and a device that knows what each of them takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from hwnas.device import Canary, Device, Environment, Measurement, Percentiles
from hwnas.errors import ModelFault
from hwnas.space import Choice, LayerChoice, Repeat
from hwnas.space import nn as snn

ENVIRONMENT = Environment(
    platform="Linux", python="3", cpu="a CPU", cores=1, accelerator="cpu", runtime="none",
    runtime_version="1", torch_version="2", threads=1, batch_size=1, precision="fp32", clock="cpu",
)  # fmt: skip


def taken(latency: float, reference: float = 0.2, device: str = "table") -> Measurement:
    return Measurement(
        device=device, metric="latency", unit="ms", median=latency, low=0.99 * latency,
        high=1.01 * latency, confidence=0.95, n=9,
        samples=Percentiles(latency, latency, latency), raw_median=latency,
        canary=Canary(median=reference, reference=reference), converged=True, warnings=(),
        environment=ENVIRONMENT,
    )  # fmt: skip


def by_size(module: nn.Module, inputs: Sequence[Tensor]) -> float:
    """A latency that tells modules and inputs apart: weights of it, and numbers it gets."""
    weights = sum(p.numel() for p in module.parameters())
    return 1e-3 * weights + 1e-2 * sum(x.numel() for x in inputs) + 0.1


class TableDevice(Device):
    """Gives latencies by `latency`; a `ModelFault` for what `refuse` says, `delay` seconds each."""

    def __init__(
        self,
        latency: Callable[..., float] = by_size,
        refuse: Callable[[nn.Module], bool] = lambda module: False,
        delay: float = 0.0,
    ) -> None:
        self.name = "table"
        self.latency, self.refuse, self.delay = latency, refuse, delay
        self.seen: list[nn.Module] = []

    def measure_each(
        self, models: Any, inputs: Any, *, timing: Any = None, parts: bool = False
    ) -> list[Measurement | ModelFault]:
        """See `Device`."""
        found: list[Measurement | ModelFault] = []
        each = inputs if isinstance(inputs, list) else [(inputs,)] * len(models)
        for model, given in zip(models, each, strict=True):
            model(*given)
            time.sleep(self.delay)
            self.seen.append(model)
            refused = self.refuse(model)
            found.append(
                ModelFault("refused", "crash") if refused else taken(self.latency(model, given))
            )
        return found

    def close(self) -> None:
        """Nothing to free."""


def _conv(width: Any, kernel: int) -> nn.Module:
    return nn.Sequential(
        snn.Conv2d(width, width, kernel, padding=kernel // 2), snn.BatchNorm2d(width), nn.ReLU()
    )


def _block(index: int, width: Any) -> nn.Module:
    # All blocks of an arch share one decision.
    candidates = {f"k{kernel}": partial(_conv, width, kernel) for kernel in (1, 3)}
    return LayerChoice({**candidates, "skip": nn.Identity}, label="shared")


class Small(nn.Module):
    """A stem, up to three blocks of one shared choice, one layer called twice, a head."""

    def __init__(self) -> None:
        super().__init__()
        width = Choice([2, 4], label="width")
        self.stem = nn.Sequential(snn.Conv2d(3, width, 3, padding=1), nn.ReLU())
        self.blocks = Repeat(partial(_block, width=width), (1, 3), label="depth")
        self.again = snn.Conv2d(width, width, Choice([1, 3], label="kernel"), padding="same")
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = snn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to scores (N, 5)."""
        x = self.blocks(self.stem(x))
        x = x + self.again(self.again(x))
        scores: Tensor = self.head(self.pool(x).flatten(1))
        return scores
