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
    return _picked(n, torch.stack(left), torch.stack(noise), settings[top] / settings[top].sum())


def _picked(n: int, covariances: Tensor, noise: Tensor, shares: Tensor) -> list[int]:
    """Places of n of m archs, by covariances (s, m, m), noise (s,) and shares (s,) of settings.

    A covariance given the archs that were picked is it without one outer product for each of them,
    so the sums of its squares are kept up to date, and not the matrix.
    """
    variance = covariances.diagonal(dim1=1, dim2=2).clone()  # (s, m)
    squares = torch.linalg.vector_norm(covariances, dim=1).square()
    gone = covariances[:, :0]  # (s, picked, m)
    found: list[int] = []
    for _ in range(n):
        own = variance.clamp_min(1e-12)
        total = own.sum(1) + own.shape[1] * noise
        gain = (shares / total) @ (squares / (own + noise[:, None]))
        gain[found] = -1
        best = int(gain.argmax())
        found.append(best)
        column = covariances[:, :, best] - _product(gone.mT, gone[:, :, best])
        column = column / (column[:, best] + noise + 1e-12).sqrt()[:, None]
        spread = _product(covariances, column) - _product(gone.mT, _product(gone, column))
        length = column.square().sum(1, keepdim=True)
        squares = (squares + column * (column * length - 2 * spread)).clamp_min(0)
        variance = variance - column.square()
        gone = torch.cat([gone, column[:, None]], 1)
    return found


def _product(matrices: Tensor, rows: Tensor) -> Tensor:
    """Each matrix (s, a, b) times its row (s, b)."""
    return (matrices @ rows[..., None])[..., 0]
