"""Which archs tell most about all others, before anything is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NOISE = 0.01
"""Variance of a measurement's noise, as a share of the mean variance of the archs."""


def spread(
    features: NDArray[np.float64], n: int, taken: NDArray[np.float64] | None = None
) -> list[int]:
    """The rows whose measurement leaves least variance in all rows, greedily.

    The model is a linear function of the features with independent weights of equal variance. Each
    row is the one that lowers the sum of the variances of all rows most (an A-optimal design;
    Krause, Singh and Guestrin 2008, section 3, for the greedy rule). So the first k of n rows are
    the design of k. Ties go to the first row.

    Args:
        features: (m, p), of the candidates, scaled.
        n: how many of the rows.
        taken: (t, p), of what was measured already.
    """
    known = features[:0] if taken is None else taken
    both = np.concatenate([known, features])
    covariance = both @ features.T  # (t + m, m): all that is asked of what was taken
    noise = _NOISE * max(float(np.mean((features**2).sum(axis=1))), 1e-300)
    among = len(known)
    whole = np.concatenate([known @ known.T, covariance[:among]], axis=1) if among else None
    remaining = covariance[among:]
    if whole is not None:
        gram = whole[:, :among] + noise * np.eye(among)
        cross = whole[:, among:]
        remaining = remaining - cross.T @ np.linalg.solve(gram, cross)
    chosen: list[int] = []
    free = np.ones(len(features), bool)
    for _ in range(min(n, len(features))):
        gains = (remaining**2).sum(axis=0) / (np.maximum(np.diag(remaining), 0.0) + noise)
        # Rounding must not break ties in another order on another machine.
        gains = np.where(free, gains, -1.0)
        best = int(np.flatnonzero(gains >= gains.max() * (1 - 1e-9))[0])
        chosen.append(best)
        free[best] = False
        column = remaining[:, best]
        remaining = remaining - np.outer(column, column) / (max(column[best], 0.0) + noise)
    return chosen
