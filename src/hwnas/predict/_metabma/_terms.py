"""The terms of the prior: what the latency of an arch is a sum of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hwnas.predict._metabma._features import Standard

MODES = 3
"""Principal components of the sources, beside their mean, that have an amplitude of their own."""
FIXED = 3 + MODES
"""Blocks before those of the descriptor's groups."""
FLOOR = 1e-2
"""Latencies below this part of a device's median are broken rows or empty networks."""


@dataclass(frozen=True)
class Terms:
    """Blocks (n, p) of features of n archs, for one scale: latency, or its logarithm.

    In this order: the level (a column of ones), the mean of the sources, the sources, `MODES`
    principal components of the sources, and the groups of the descriptor.

    Attributes:
        log: the scale.
        sources: columns of the source devices that are known.
        floor, centre: (k,), the least and the mean latency of these.
        standard: of their latencies on the scale.
        spread: standard deviation of the mean of the sources.
        rotation: (k, MODES), of the principal components; zeros where there are fewer.
        gain: (MODES,), which gives them variance 1.
    """

    log: bool
    sources: Tensor
    floor: Tensor
    centre: Tensor
    standard: Standard
    spread: Tensor
    rotation: Tensor
    gain: Tensor

    @staticmethod
    def of(predicted: Tensor, sources: Sequence[int], log: bool) -> Terms:
        """Of the latencies (n, devices) of reference archs, for some of the devices."""
        chosen = torch.tensor(sources)
        own = predicted[:, chosen]
        floor = FLOOR * own.median(0).values
        centre = torch.maximum(own, floor).mean(0)
        values = _scaled(own, floor, centre, log)
        standard = Standard.of(values)
        unit = standard(values)
        _, _, right = torch.linalg.svd(unit, full_matrices=False)
        rotation = torch.zeros(len(chosen), MODES, dtype=own.dtype)
        found = right[1 : MODES + 1].mT
        rotation[:, : found.shape[1]] = found
        size = (unit @ rotation).square().mean(0).sqrt()
        gain = torch.where(size > 1e-6, 1 / size.clamp_min(1e-6), 0.0)
        spread = unit.mean(1).std(correction=0).clamp_min(1e-9)
        return Terms(log, chosen, floor, centre, standard, spread, rotation, gain)

    def __call__(self, predicted: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        """Blocks of n archs, from their latencies (n, devices) on the sources."""
        values = _scaled(predicted[:, self.sources], self.floor, self.centre, self.log)
        unit = self.standard(values)
        modes = unit @ self.rotation * self.gain
        level = torch.ones(len(unit), 1, dtype=unit.dtype)
        mean = unit.mean(1, keepdim=True) / self.spread
        return [level, mean, unit, *(modes[:, i : i + 1] for i in range(MODES)), *features]

    def ratios(self, blocks: Sequence[Tensor]) -> Tensor:
        """(n, k), what `blocks` of the linear scale say of the sources: latency / mean latency."""
        scale = torch.where(self.standard.scale > 0, self.standard.scale, 1.0)
        ratios: Tensor = blocks[2] / scale + self.standard.mean
        return ratios


def _scaled(own: Tensor, floor: Tensor, centre: Tensor, log: bool) -> Tensor:
    clamped = torch.maximum(own, floor)
    return clamped.log() if log else clamped / centre
