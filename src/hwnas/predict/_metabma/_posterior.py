"""The weights of the terms after a device measured a few latencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hwnas.predict._metabma._bank import Bank, parted
from hwnas.predict._metabma._evidence import Evidence

_MOST = 64
"""Settings that the covariance is made of: the most probable ones."""


@dataclass(frozen=True)
class Posterior:
    """Mean and covariance of all terms' weights on one scale, averaged over the settings.

    Attributes:
        log: the scale.
        probability: of this scale.
        settings: (c,), probability of each setting and this scale.
        mean: (d,), weights over the blocks side by side.
        covariance: (d, d).
        noise: variance of what no term explains.
        unit: see `Evidence`.
        surprise: (n,), squared errors of each measured latency as the others foretell it, in
            units of the variance that they expect.
    """

    log: bool
    probability: float
    settings: Tensor
    mean: Tensor
    covariance: Tensor
    noise: float
    unit: float
    surprise: Tensor

    def predict(self, blocks: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Mean and variance (n,) of latencies in ms."""
        row = torch.cat(list(blocks), 1)
        value = row @ self.mean
        variance = ((row @ self.covariance) * row).sum(1).clamp_min(0) + self.noise
        if self.log:
            mean = (value + self.unit).clamp_max(700).exp()
            return mean, variance * mean.square()
        return self.unit * (1 + value), variance * self.unit**2


def posteriors(
    banks: Sequence[Bank], blocks: Sequence[Sequence[Tensor]], latencies: Tensor
) -> list[Posterior]:
    """Of n archs that were measured, on each scale.

    Args:
        banks: of the scales.
        blocks: of the archs on each scale.
        latencies: (n,) in ms.
    """
    found = [Evidence.of(bank, b, latencies) for bank, b in zip(banks, blocks, strict=True)]
    scores = [b.weights.log() + e.log_evidence for b, e in zip(banks, found, strict=True)]
    parts = parted(torch.cat(scores).softmax(0), banks)
    return [_average(*each) for each in zip(banks, found, parts, blocks, strict=True)]


def mixed(found: Sequence[Posterior], blocks: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (n,) of latencies in ms, both scales averaged."""
    mean = torch.zeros(len(blocks[0][0]), dtype=torch.float64)
    square = torch.zeros_like(mean)
    for posterior, own in zip(found, blocks, strict=True):
        if posterior.probability > 1e-6:
            middle, variance = posterior.predict(own)
            mean += posterior.probability * middle
            square += posterior.probability * (variance + middle.square())
    total = sum(p.probability for p in found if p.probability > 1e-6)
    mean, square = mean / total, square / total
    least = 1e-6 * mean.abs() + 1e-12
    std = (square - mean.square()).clamp_min(0).sqrt()
    return mean, torch.maximum(std, least)


def _average(bank: Bank, evidence: Evidence, part: Tensor, blocks: Sequence[Tensor]) -> Posterior:
    probability = float(part.sum())
    weight = part / max(probability, 1e-300)
    sizes = torch.tensor([block.shape[1] for block in blocks])
    rows = torch.cat(list(blocks), 1)  # (n, d)
    n, d = rows.shape
    expected = torch.zeros(d, dtype=rows.dtype)
    expected[1] = bank.slope
    spread = bank.variances.repeat_interleave(sizes, dim=1)  # (c, d)
    mean = expected + (weight[:, None] * spread * (evidence.alpha @ rows)).sum(0)

    top = weight.argsort(descending=True, stable=True)[:_MOST]
    weight = weight[top] / weight[top].sum().clamp_min(1e-300)
    spread = spread[top]
    root = weight.sqrt()[:, None, None]
    explained = torch.linalg.solve_triangular(
        evidence.factor[top], rows.expand(len(top), n, d), upper=False
    )
    explained = (root * explained * spread[:, None]).reshape(-1, d)
    apart = expected + spread * (evidence.alpha[top] @ rows)
    apart = root[:, 0] * (apart - weight @ apart)
    covariance = torch.diag(weight @ spread) - explained.mT @ explained + apart.mT @ apart
    return Posterior(
        bank.log,
        probability,
        part,
        mean,
        covariance,
        float(weight @ bank.noise[top]),
        evidence.unit,
        _surprise(evidence, top, weight),
    )


def _surprise(evidence: Evidence, top: Tensor, weight: Tensor) -> Tensor:
    """Leave-one-out errors in closed form (Rasmussen and Williams 2006, section 5.4.2)."""
    n = evidence.alpha.shape[1]
    inverse = torch.linalg.solve_triangular(
        evidence.factor[top], torch.eye(n, dtype=weight.dtype).expand(len(top), n, n), upper=False
    )
    variance = 1 / inverse.square().sum(1)  # (c, n)
    error = evidence.alpha[top] * variance
    # Without an arch, the settings that foretold it well have less weight.
    density = -0.5 * (error.square() / variance + variance.log())
    share = (weight.clamp_min(1e-300).log()[:, None] - density).softmax(0)
    middle = (share * error).sum(0)
    total = (share * (variance + error.square())).sum(0) - middle.square()
    surprise: Tensor = middle.square() / total.clamp_min(1e-300)
    return surprise
