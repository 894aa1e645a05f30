"""What an estimator returns: a latency with the items that it is the sum of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hwnas._estimate import Estimate
from hwnas.device._item import Item
from hwnas.device._measurement import Measurement

SCALES = {"m": ("ms", 1.0), "u": ("us", 1e3), "n": ("ns", 1e6)}
"""Time scales by letter: the unit, and how many of it make a millisecond."""


@dataclass(frozen=True)
class Share:
    """An item of a network, measured once and called `count` times.

    Attributes:
        name: where it stands first.
        operators: the calls of operators or layers in one call of it.
        latency: of one call, in the unit of the estimate.
        share: of all its calls in the network's estimate.
    """

    name: str
    item: Item
    count: int
    operators: int
    measurement: Measurement
    latency: Estimate
    share: float


@dataclass(frozen=True)
class Missing:
    """An item that could not be measured, and why; it counts as unknown, never as 0."""

    name: str
    item: Item
    count: int
    operators: int
    reason: str


@dataclass(frozen=True)
class LatencyEstimate:
    """The latency of a network: of its items, times their counts, summed.

    Attributes:
        value: in `unit`, of one call of the whole batch.
        std: of `value`, from the intervals of the items, as if they were independent. How far a sum
            of parts lies from the whole is another matter: see `Calibration`.
        unit: `ms`, `us` or `ns`.
        batch_size: size of the first dimension of the first input.
        device: its name.
        granularity: `operator`, `unit`, `block` or `network`.
        reference: the canary's latency (ms) that all items refer to; None without a canary.
        items: the measured ones, in the order of their first calls.
        missing: those that could not be measured.
    """

    value: float
    std: float
    unit: str
    batch_size: int
    device: str
    granularity: str
    reference: float | None
    items: tuple[Share, ...]
    missing: tuple[Missing, ...] = ()

    @property
    def coverage(self) -> float:
        """The share of the network's calls of operators that the measured items hold.

        Below 1, `value` is that of a part of the network, and `missing` names the rest.
        """
        covered = sum(one.count * one.operators for one in self.items)
        return covered / (covered + sum(one.count * one.operators for one in self.missing))

    @property
    def ms(self) -> Estimate:
        """Value and standard deviation in ms."""
        scale = next(scale for unit, scale in SCALES.values() if unit == self.unit)
        return Estimate(self.value / scale, self.std / scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, for reports."""
        return {
            "value": self.value,
            "std": self.std,
            "unit": self.unit,
            "batch_size": self.batch_size,
            "device": self.device,
            "granularity": self.granularity,
            "coverage": self.coverage,
            "items": [
                {
                    "name": one.name,
                    "kind": one.item.kind,
                    "key": one.item.key,
                    "count": one.count,
                    "latency": one.latency.value,
                    "share": one.share,
                }
                for one in self.items
            ],
            "missing": [
                {"name": one.name, "count": one.count, "reason": one.reason} for one in self.missing
            ],
        }


def total(shares: list[tuple[int, Estimate]]) -> Estimate:
    """The sum of estimates, each taken so many times."""
    value = math.fsum(count * one.value for count, one in shares)
    return Estimate(value, math.sqrt(math.fsum((count * one.std) ** 2 for count, one in shares)))
