"""How far a number from a device can be trusted: short sessions of one network, compared."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, median, stdev

import torch
from torch import nn

from hwnas.device._measurement import Measurement
from hwnas.device._worker_device import PROCESS_STD, WorkerDevice

_FEWEST = 3
_GOOD, _FAIR = 0.02, 0.05  # coefficients of variation
_THROTTLED = 0.1
_PRIOR = 4  # sessions that `PROCESS_STD` counts for


@dataclass(frozen=True)
class Health:
    """What the sessions of a check showed; each was a process of its own.

    Attributes:
        sessions: the measurements of the same network.
        noise: coefficient of variation of their medians, at the canary's reference speed.
        process_std: the part of it that the samples of a session do not show, for
            `WorkerDevice.process_std`. Of few sessions, mostly what we measured elsewhere.
        raw_noise: the same as clocked, of the same blocks, which is what a plain loop would show.
            Where the host's speed does not drift it may be the smaller one: the canary's own noise
            is in the other.
        drift: the slowest canary over the fastest, less 1.
        slowing: the canary in the last third of the sessions over the first third, less 1.
        contended: share of the sessions in which others took the CPU.
    """

    sessions: tuple[Measurement, ...]
    noise: float
    process_std: float
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
    network = nn.Sequential(nn.Conv2d(3, 32, 3, stride=2), nn.ReLU(), *map(_block, (64, 96, 128)))
    inputs = torch.randn(device.batch_size, 3, 96, 96)
    sessions: list[Measurement] = []
    known, device.process_std = device.process_std, 0.0  # intervals of the samples alone
    start = time.monotonic()
    try:
        while len(sessions) < _FEWEST or time.monotonic() - start < seconds:
            sessions += device.measure([network], inputs)
            device.close()
            if on_session:
                on_session(len(sessions))
    finally:
        device.process_std = known
    return health_of(sessions)


def _block(width: int) -> nn.Module:
    depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
    return nn.Sequential(
        nn.Conv2d(32, width, 1), nn.ReLU(), depthwise, nn.ReLU(), nn.Conv2d(width, 32, 1)
    )


def health_of(sessions: list[Measurement]) -> Health:
    """The figures of sessions of the same network with a canary, three at least.

    Their intervals are those of the samples, as with a `process_std` of 0.
    """
    canary = [one.canary.median for one in sessions if one.canary is not None]
    third = max(1, len(canary) // 3)
    noise = _variation([one.median for one in sessions])
    return Health(
        sessions=tuple(sessions),
        noise=noise,
        process_std=_between(noise, sessions),
        raw_noise=_variation([one.raw_median for one in sessions]),
        drift=max(canary) / min(canary) - 1,
        slowing=median(canary[-third:]) / median(canary[:third]) - 1,
        contended=mean(one.contended for one in sessions),
    )


def _between(noise: float, sessions: list[Measurement]) -> float:
    """Scaled inverse chi-squared prior and data; source: Gelman et al., Bayesian Data Analysis,
    section 2.6."""
    now = [one if one.canary is None else one.at(one.canary.median) for one in sessions]
    within = mean((one.estimate.std / one.median) ** 2 for one in now)
    freedom = len(sessions) - 1
    seen = freedom * max(noise**2 - within, 0.0)
    return math.sqrt((_PRIOR * PROCESS_STD**2 + seen) / (_PRIOR + freedom))


def _variation(values: list[float]) -> float:
    return stdev(values) / mean(values)
