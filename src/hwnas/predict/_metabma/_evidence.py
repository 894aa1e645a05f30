"""How well each setting explains a few latencies, in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hwnas.predict._metabma._bank import OUTLYING, Bank

_JITTER = 1e-10


@dataclass(frozen=True)
class Evidence:
    """Every setting of a bank, given the latencies of n archs.

    One of the latencies may be an outlier; all n + 1 cases are averaged in closed form, by updates
    of rank one.

    Attributes:
        log_evidence: (c,), of the latencies in ms.
        outlier: (c, n), probability that a latency is the outlier.
        unit: what turns ms into the scale: the latency that is 1, or the logarithm that is 0.
    """

    log_evidence: Tensor
    outlier: Tensor
    unit: float
    _root: Tensor
    _alpha: Tensor
    _change: Tensor

    @staticmethod
    def of(
        bank: Bank, blocks: Sequence[Tensor], latencies: Tensor, wrong: Tensor | None = None
    ) -> Evidence:
        """Of the terms (n, p) of n archs and their latencies (n,) in ms.

        Args:
            wrong: (n,), latencies that are known to be outliers.
        """
        n = len(latencies)
        expected = bank.slope * blocks[1][:, 0]
        if bank.log:
            logs = latencies.log()
            unit = float((logs - expected).mean())
            residual = logs - unit - expected
            jacobian = -float(logs.sum())
        else:
            around = float(1 + expected.mean())
            unit = float(latencies.mean()) / (around if around > 0.2 else 1.0)
            residual = latencies / unit - 1 - expected
            jacobian = -n * math.log(unit)
        inner = torch.stack([(block @ block.mT).reshape(-1) for block in blocks])
        covariance = (bank.variances @ inner).reshape(-1, n, n)
        noise = bank.noise[:, None].expand(-1, n) + _JITTER
        likely = n * torch.log1p(-bank.tails)
        odds = bank.tails.log() - torch.log1p(-bank.tails)
        if wrong is not None:
            noise = noise * torch.where(wrong, OUTLYING, 1.0)
            likely = likely + odds * wrong.sum()
        covariance.diagonal(dim1=1, dim2=2).add_(noise)
        factor = torch.linalg.cholesky(covariance)
        one = torch.eye(n, dtype=factor.dtype).expand_as(factor)
        root = torch.linalg.solve_triangular(factor, one, upper=False)
        explained = root @ residual
        alpha = _times(explained, root)
        half_determinant = factor.diagonal(dim1=1, dim2=2).log().sum(1)
        misfit = 0.5 * explained.square().sum(1)
        usual = jacobian - misfit - half_determinant - 0.5 * n * math.log(2 * math.pi)

        more = (OUTLYING - 1) * bank.noise[:, None]
        grown = 1 + more * root.square().sum(1)  # (c, n)
        gain = 0.5 * more * alpha.square() / grown - 0.5 * grown.log() + odds[:, None]
        if wrong is not None:
            gain = gain.masked_fill(wrong, -math.inf)
        cases = torch.cat([torch.zeros_like(gain[:, :1]), gain], 1)
        outlier = cases.softmax(1)[:, 1:]
        change = outlier * more / grown
        evidence = usual + likely + cases.logsumexp(1)
        return Evidence(evidence, outlier, unit, root, alpha, change)

    @cached_property
    def alpha(self) -> Tensor:
        """(c, n), the inverse of the covariance of the latencies times the residual."""
        shift = (self._root @ (self._change * self._alpha)[..., None])[..., 0]
        return self._alpha - _times(shift, self._root)

    def inverse(self, settings: Tensor) -> Tensor:
        """Of the covariance of the latencies, by some settings (k,): (k, n, n)."""
        root, change = self._root[settings], self._change[settings]
        inverse = root.mT @ root
        return inverse - inverse @ (change[..., None] * inverse)


def _times(rows: Tensor, matrices: Tensor) -> Tensor:
    """Each row (c, n) times its matrix (c, n, n)."""
    return (rows[:, None] @ matrices)[:, 0]
