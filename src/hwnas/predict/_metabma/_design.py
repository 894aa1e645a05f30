"""Which archs to measure: those that leave the least expected variance over all candidates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hwnas.predict._metabma._bank import Bank

_SETTINGS = 20
"""The most probable settings stand for all."""


def chosen(
    n: int,
    banks: Sequence[Bank],
    weights: Sequence[Tensor],
    blocks: Sequence[Sequence[Tensor]],
    measured: Sequence[Sequence[Tensor]] | None = None,
) -> list[int]:
    """Places of n candidates, one after the other the one that takes most variance away.

    The variance is that of the latencies of all candidates, in parts of what the setting leaves
    unknown; it does not depend on latencies, so the first archs can be chosen without any
    (integrated variance; Seo et al. 2000, Cohn 1996).

    Args:
        n: how many.
        banks: of both scales.
        weights: probability of each setting, by bank; over both they sum to 1.
        blocks: terms (m, p) of the candidates, by bank.
        measured: the same of archs that were measured.
    """
    settings = torch.cat(list(weights))
    scale = torch.arange(len(banks)).repeat_interleave(
        torch.tensor([len(bank.noise) for bank in banks])
    )
    row = torch.cat([torch.arange(len(bank.noise)) for bank in banks])
    top = settings.argsort(descending=True, stable=True)[:_SETTINGS]
    left, noise = [], []
    for at, setting in zip(scale[top].tolist(), row[top].tolist(), strict=True):
        bank = banks[at]
        parts = blocks[at]
        if measured is not None:
            parts = [torch.cat(pair) for pair in zip(measured[at], parts, strict=True)]
        sizes = bank.variances[setting].sqrt()
        root = torch.cat([p * s for p, s in zip(parts, sizes, strict=True) if float(s)], 1)
        covariance = root @ root.mT
        if measured is not None:
            known = len(measured[at][0])
            inner = covariance[:known, :known].clone()
            inner.diagonal().add_(bank.noise[setting] + 1e-10)
            cross = covariance[:known, known:]
            covariance = covariance[known:, known:] - cross.mT @ torch.linalg.solve(inner, cross)
        left.append(covariance)
        noise.append(bank.noise[setting])
    shares = (settings[top] / settings[top].sum()).tolist()
    found: list[int] = []
    for _ in range(n):
        gain = torch.zeros(len(left[0]), dtype=torch.float64)
        for covariance, each, share in zip(left, noise, shares, strict=True):
            own = covariance.diagonal().clamp_min(1e-12)
            total = own.sum() + len(own) * each
            gain += share / total * covariance.square().sum(0) / (own + each)
        gain[found] = -1
        best = int(gain.argmax())
        found.append(best)
        for covariance, each in zip(left, noise, strict=True):
            column = covariance[:, best].clone()
            covariance.addr_(column, column, alpha=-1 / (float(column[best] + each) + 1e-12))
    return found
