"""How far a number from a device can be trusted: short sessions of one network, compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, median, stdev

import torch
from torch import nn

from hwnas.device._measurement import Measurement
from hwnas.device._worker_device import WorkerDevice

_FEWEST = 3
_GOOD, _FAIR = 0.02, 0.05  # coefficients of variation
_THROTTLED = 0.1


@dataclass(frozen=True)
class Health:
    """What the sessions of a check showed; each was a process of its own.

    Attributes:
        sessions: the measurements of the same network.
        noise: coefficient of variation of their medians, at the canary's reference speed.
        raw_noise: the same as clocked, which is what a plain loop would show.
        drift: the slowest canary over the fastest, less 1.
        slowing: the canary in the last third of the sessions over the first third, less 1.
        contended: share of the sessions in which others took the CPU.
    """

    sessions: tuple[Measurement, ...]
    noise: float
    raw_noise: float
    drift: float
    slowing: float
    contended: float

    @property
    def smallest_difference(self) -> float:
        """Relative difference of two networks that one measurement each tells apart (95 %)."""
        return 1.96 * 2**0.5 * self.noise

    @property
    def verdict(self) -> str:
        """`good`, `fair` or `poor`."""
        return "good" if self.noise <= _GOOD else "fair" if self.noise <= _FAIR else "poor"

    @property
    def advice(self) -> list[str]:
        """What stands in the way of better numbers, and what to do."""
        where = self.sessions[-1].environment
        found = []
        if self.contended > 0:
            found.append(
                f"other work took the CPU in {self.contended:.0%} of the sessions: end it, or "
                "measure with fewer threads"
            )
        if self.slowing > _THROTTLED:
            found.append(
                f"the host became {self.slowing:.0%} slower meanwhile, as one that gets hot: "
                "cool it, or fix its clock"
            )
        if where.threads > 1:
            found.append("several threads vary more than one: compare with --threads 1")
        return found


def check_health(
    device: WorkerDevice, seconds: float = 60.0, on_session: Callable[[int], None] | None = None
) -> Health:
    """Measure the same network in fresh processes for about `seconds`, three times at least.

    Raises:
        DeviceError: the device cannot measure.
    """
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3, stride=2), nn.ReLU(), nn.Conv2d(32, 64, 3, stride=2), nn.ReLU()
    )
    inputs = torch.randn(device.batch_size, 3, 64, 64)
    sessions: list[Measurement] = []
    start = time.monotonic()
    while len(sessions) < _FEWEST or time.monotonic() - start < seconds:
        sessions += device.measure([network], inputs)
        device.close()
        if on_session:
            on_session(len(sessions))
    return health_of(sessions)


def health_of(sessions: list[Measurement]) -> Health:
    """The figures of sessions of the same network with a canary, three at least."""
    canary = [one.canary.median for one in sessions if one.canary is not None]
    third = max(1, len(canary) // 3)
    return Health(
        sessions=tuple(sessions),
        noise=_variation([one.median for one in sessions]),
        raw_noise=_variation([one.raw_median for one in sessions]),
        drift=max(canary) / min(canary) - 1,
        slowing=median(canary[-third:]) / median(canary[:third]) - 1,
        contended=mean(one.contended for one in sessions),
    )


def _variation(values: list[float]) -> float:
    return stdev(values) / mean(values)
