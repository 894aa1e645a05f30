"""The settings over which the predictor averages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

_LEVEL = 10.0
"""Variance of the level, in units of the variance of latencies: practically unknown."""

OUTLYING = 100.0
"""Variance of a measurement that went wrong, in units of that of the others."""
_TAILS = (1e-3, 0.03, 0.1)
_ABSENT = 0.4
"""Share of the terms that a setting leaves out."""


@dataclass(frozen=True)
class Bank:
    """Settings of the prior on one scale.

    A setting says how far each term may carry a latency away from the mean of the sources, and how
    large the noise is: latency / unit = 1 + slope x mean + sum of the terms + noise; the same for
    the logarithm.

    Attributes:
        log: the scale.
        variances: (c, g), prior variance of the weights of each term; level and mean come first.
        noise: (c,), variance of what no term explains.
        tails: (c,), probability of a measurement that has `OUTLYING` times that variance.
        slope: expected weight of the mean of the sources.
        weights: (c,), how probable each setting is before the device measured anything. Over the
            banks of both scales they sum to 1.
    """

    log: bool
    variances: Tensor
    noise: Tensor
    tails: Tensor
    slope: float
    weights: Tensor

    @staticmethod
    def random(
        log: bool, settings: int, terms: int, variance: float, slope: tuple[float, float], seed: int
    ) -> Bank:
        """Random settings, all equally probable.

        Args:
            log: the scale.
            settings: how many.
            terms: beside level and mean.
            variance: of the latencies of a source on the scale.
            slope: mean and variance over the sources.
            seed: of the random numbers.
        """
        chance = torch.Generator().manual_seed(seed)

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            """Uniform in the exponent."""
            drawn = torch.rand(*shape, generator=chance, dtype=torch.float64)
            return 10 ** (low + (high - low) * drawn)

        amplitudes = variance * uniform(-4, 0.5, settings, terms)
        off = torch.rand(settings, terms, generator=chance, dtype=torch.float64) < _ABSENT
        amplitudes[off] = 0
        noise = variance * uniform(-6.5, 0.5, settings)
        slopes = max(slope[1], 0.02 * slope[0] ** 2) * uniform(-1.5, 0.7, settings)
        tails = torch.tensor(_TAILS, dtype=torch.float64)
        level = torch.full_like(slopes, _LEVEL * variance)
        variances = torch.cat([torch.stack([level, slopes], 1), amplitudes], 1)
        # Rounded, so that a stored bank is the same one.
        return Bank(
            log,
            variances.float().double(),
            noise.float().double(),
            tails[torch.arange(settings) % len(tails)].float().double(),
            slope[0],
            torch.full_like(noise, 0.5 / settings),
        )

    def only(self, settings: Tensor) -> Bank:
        """Some of the settings, by their places."""
        return replace(
            self,
            variances=self.variances[settings],
            noise=self.noise[settings],
            tails=self.tails[settings],
            weights=self.weights[settings],
        )

    def weighted(self, weights: Tensor) -> Bank:
        """The same settings with other weights."""
        return replace(self, weights=weights.float().double())


def parted(values: Tensor, banks: Sequence[Bank]) -> list[Tensor]:
    """Values (c of all banks,) by bank."""
    found, start = [], 0
    for bank in banks:
        found.append(values[start : start + len(bank.noise)])
        start += len(bank.noise)
    return found
