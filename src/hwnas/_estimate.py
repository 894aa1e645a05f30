"""A number that is not certain: what predictors compute and measurements become."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Estimate:
    """A value and its standard deviation, in the metric's canonical unit.

    Canonical units: latency ms, throughput items/s, energy mJ, power mW, bytes for memory,
    plain counts for `macs`, `flops` and `params`.
    """

    value: float
    std: float = 0.0

    def quantile(self, q: float) -> float:
        """The `q` quantile (0 < q < 1) under a normal distribution."""
        if self.std == 0 or math.isnan(self.std):
            return self.value
        return self.value + NormalDist().inv_cdf(q) * self.std
