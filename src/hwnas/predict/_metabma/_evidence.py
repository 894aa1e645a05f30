"""How well each setting explains a few latencies, in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hwnas.predict._metabma._bank import Bank

_JITTER = 1e-10


@dataclass(frozen=True)
class Evidence:
    """Every setting of a bank, given the latencies of n archs.

    Attributes:
        log_evidence: (c,), of the latencies in ms.
        factor: (c, n, n), lower triangular, of the covariance of the latencies.
        alpha: (c, n), the inverse of that covariance times the residual.
        unit: what turns ms into the scale: the latency that is 1, or the logarithm that is 0.
    """

    log_evidence: Tensor
    factor: Tensor
    alpha: Tensor
    unit: float

    @staticmethod
    def of(bank: Bank, blocks: Sequence[Tensor], latencies: Tensor) -> Evidence:
        """Of the terms (n, p) of n archs and their latencies (n,) in ms."""
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
        covariance.diagonal(dim1=1, dim2=2).add_(bank.noise[:, None] + _JITTER)
        factor = torch.linalg.cholesky(covariance)
        white = torch.linalg.solve_triangular(
            factor, residual.expand(len(factor), n)[..., None], upper=False
        )
        alpha = torch.linalg.solve_triangular(factor.mT, white, upper=True)[..., 0]
        half_determinant = factor.diagonal(dim1=1, dim2=2).log().sum(1)
        misfit = 0.5 * white[..., 0].square().sum(1)
        evidence = jacobian - misfit - half_determinant - 0.5 * n * math.log(2 * math.pi)
        return Evidence(evidence, factor, alpha, unit)
