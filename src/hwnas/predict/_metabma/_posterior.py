"""The weights of the terms after a device measured a few latencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hwnas.predict._metabma._bank import Bank, parted
from hwnas.predict._metabma._evidence import Evidence

_MOST = 32
"""Settings that the covariance is made of: the most probable ones."""

_MANY = 40
"""Beyond so many latencies, settings are screened by some of them."""
_ENTRIES = 4_000_000
"""Of the covariances of all settings that are left then."""
_HEAVIER = 10.0
"""A normal of variance 1 + 10 tails has the 90 % interval of noise with these tails."""
_SURPRISING = 9.0
"""More surprise than this is an outlier's, and says nothing of the others."""


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
        left_out: (n,), those errors in ms.
    """

    log: bool
    probability: float
    settings: Tensor
    mean: Tensor
    covariance: Tensor
    noise: float
    unit: float
    surprise: Tensor
    left_out: Tensor

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
    kept = _screened(banks, blocks, latencies)
    few = [bank.only(places) for bank, places in zip(banks, kept, strict=True)]
    found, parts = _explained(few, blocks, latencies)
    averages: list[Posterior] = []
    for bank, places, own, part in zip(banks, kept, found, parts, strict=True):
        at = len(averages)
        average = _average(few[at], own, part, blocks[at], latencies)
        settings = torch.zeros_like(bank.weights).index_copy(0, places, part)
        averages.append(replace(average, settings=settings))
    return averages


def _screened(
    banks: Sequence[Bank], blocks: Sequence[Sequence[Tensor]], latencies: Tensor
) -> list[Tensor]:
    """Places of the settings that are worth the time; all of them where there are few latencies.

    Many latencies are explained by few settings, which a part of the latencies tells.
    """
    n = len(latencies)
    every = [torch.arange(len(bank.noise)) for bank in banks]
    if n <= _MANY:
        return every
    part = latencies.argsort(stable=True)[torch.linspace(0, n - 1, _MANY).round().long()]
    some = [[block[part] for block in own] for own in blocks]
    _, weights = _explained(banks, some, latencies[part])
    order = torch.cat(weights).argsort(descending=True, stable=True)
    best = torch.zeros(len(order), dtype=torch.bool)
    best[order[: max(_MOST // 4, min(len(order), _ENTRIES // n**2))]] = True
    return [own.nonzero()[:, 0] for own in parted(best, banks)]


def _explained(
    banks: Sequence[Bank], blocks: Sequence[Sequence[Tensor]], latencies: Tensor
) -> tuple[list[Evidence], list[Tensor]]:
    """The evidence, and how probable it makes each setting; outliers are found one by one."""
    wrong = torch.zeros(len(latencies), dtype=torch.bool)
    while True:
        found = [
            Evidence.of(bank, own, latencies, wrong)
            for bank, own in zip(banks, blocks, strict=True)
        ]
        scores = [b.weights.log() + e.log_evidence for b, e in zip(banks, found, strict=True)]
        parts = parted(torch.cat(scores).softmax(0), banks)
        outlier = torch.stack([part @ e.outlier for part, e in zip(parts, found, strict=True)])
        probable, worst = outlier.sum(0).max(0)
        if float(probable) < 0.5 or int(wrong.sum()) >= len(latencies) // 4:
            break
        wrong[worst] = True  # There may be another one.
    return found, parts


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


def _average(
    bank: Bank, evidence: Evidence, part: Tensor, blocks: Sequence[Tensor], latencies: Tensor
) -> Posterior:
    probability = float(part.sum())
    weight = part / max(probability, 1e-300)
    sizes = torch.tensor([block.shape[1] for block in blocks])
    rows = torch.cat(list(blocks), 1)  # (n, d)
    d = rows.shape[1]
    expected = torch.zeros(d, dtype=rows.dtype)
    expected[1] = bank.slope
    # All settings by terms, of which there are few, and not by weights.
    terms = (weight[:, None] * bank.variances).mT @ evidence.alpha  # (g, n)
    mean = expected + (terms.repeat_interleave(sizes, dim=0) * rows.mT).sum(1)

    top = weight.argsort(descending=True, stable=True)[:_MOST]
    weight = weight[top] / weight[top].sum().clamp_min(1e-300)
    spread = bank.variances[top].repeat_interleave(sizes, dim=1)  # (c, d)
    root = weight.sqrt()[:, None, None]
    inverse = evidence.inverse(top)
    half = torch.linalg.cholesky(_safe(inverse))
    explained = half.mT @ rows
    explained = (root * explained * spread[:, None]).reshape(-1, d)
    apart = expected + spread * (evidence.alpha[top] @ rows)
    apart = root[:, 0] * (apart - weight @ apart)
    covariance = torch.diag(weight @ spread) - explained.mT @ explained + apart.mT @ apart
    surprise, error = _left_out(inverse, evidence.alpha[top], weight)
    return Posterior(
        bank.log,
        probability,
        part,
        mean,
        covariance,
        float(weight @ (bank.noise * (1 + _HEAVIER * bank.tails))[top]),
        evidence.unit,
        surprise,
        error * (latencies if bank.log else evidence.unit),
    )


def _safe(inverse: Tensor) -> Tensor:
    """Positive definite in spite of rounding."""
    size = inverse.diagonal(dim1=1, dim2=2).amax(1)
    return inverse + 1e-12 * size[:, None, None] * torch.eye(inverse.shape[1], dtype=inverse.dtype)


def _left_out(inverse: Tensor, alpha: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Leave-one-out errors in closed form (Rasmussen and Williams 2006, section 5.4.2).

    Returns them squared in units of their variance, and as they are.
    """
    variance = 1 / inverse.diagonal(dim1=1, dim2=2)  # (c, n)
    error = alpha * variance
    # Without an arch, the settings that foretold it well have less weight.
    density = -0.5 * (error.square() / variance + variance.log())
    share = (weight.clamp_min(1e-300).log()[:, None] - density).softmax(0)
    middle = (share * error).sum(0)
    total = (share * (variance + error.square())).sum(0) - middle.square()
    return (middle.square() / total.clamp_min(1e-300)).clamp_max(_SURPRISING), middle
