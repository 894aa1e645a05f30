"""Latency as a weighted sum of a few numbers, with weights that cannot be negative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STRENGTHS = 10.0 ** np.arange(-4.0, 4.0)
_EACH = 20
_FOLDS = 10
_UNKNOWN = 1.0
"""Relative deviation where one measurement is all there is: nothing tells the error."""


@dataclass(frozen=True)
class Line:
    """`max(x @ weights + intercept, floor)`, in ms.

    Attributes:
        weights: (p,).
        error: standard deviation of the error; of a share of the prediction if `relative`.
    """

    weights: Array
    intercept: float
    floor: float
    error: float
    relative: bool = False

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (n,) of rows (n, p)."""
        mean = np.maximum(x @ self.weights + self.intercept, self.floor)
        return mean, self.error * (mean if self.relative else np.ones_like(mean))


def nonnegative(x: Array, y: Array, around: Array | None = None, *, ridge: bool = True) -> Line:
    """Least squares with weights and an intercept from 0 up.

    Args:
        x: (n, p). y: (n,), positive.
        around: (p,) what the ridge draws the weights to; 0 by default.
        ridge: whether weights are drawn there. How much is chosen by cross-validation, leaving out
            one of up to 20 rows, else a tenth of them. The intercept is free.

    The deviation is the root mean square of the errors of what was left out.
    """
    n, p = x.shape
    goal = np.zeros(p + 1)
    goal[:p] = 0.0 if around is None else around
    columns = np.concatenate([x, np.ones((n, 1))], axis=1)
    strengths = _STRENGTHS if ridge else _STRENGTHS[:1] * 1e-6
    gram, moment = columns.T @ columns, columns.T @ y
    fold_of = np.arange(n) % (n if n <= _EACH else _FOLDS)
    folds = [columns[fold_of == k] for k in range(fold_of.max() + 1)] if n > 1 else []
    parts = [y[fold_of == k] for k in range(len(folds))]
    errors = np.zeros(len(strengths))
    for i, strength in enumerate(strengths):
        for rows, values in zip(folds, parts, strict=True):
            weights = _solved(gram - rows.T @ rows, moment - rows.T @ values, goal, strength)
            errors[i] += ((values - rows @ weights) ** 2).sum()
    best = len(errors) - 1 - int(errors[::-1].argmin())  # the stronger of equals
    weights = _solved(gram, moment, goal, strengths[best])
    error = float(np.sqrt(errors[best] / n)) if n > 1 else _UNKNOWN
    return Line(weights[:p], float(weights[p]), 1e-3 * float(y.min()), error, relative=n == 1)


def _solved(gram: Array, moment: Array, goal: Array, strength: float) -> Array:
    """Least squares from 0 up, by the normal equations, with a ridge on all but the last weight."""
    from scipy.optimize import nnls  # A fifth of a second, for those who need it.

    penalty = np.full(len(goal), strength)
    penalty[-1] = 1e-9 * strength  # So that the matrix has a root.
    penalty += 1e-12 * np.trace(gram) / len(goal)
    root = np.linalg.cholesky(gram + np.diag(penalty))
    weights, _ = nnls(root.T, np.linalg.solve(root, moment + penalty * goal))
    found: Array = weights
    return found


def proportional(x: Array, y: Array) -> Line:
    """`y = scale * x`, with the mean ratio of the logarithms; (n,) and (n,), positive.

    The deviation is that of the ratios that are left out, relative.
    """
    ratios = np.log(y / x)
    error = _UNKNOWN
    if (n := len(y)) > 1:
        error = float(np.sqrt(np.mean(((ratios - ratios.mean()) * n / (n - 1)) ** 2)))
    return Line(
        np.exp(ratios.mean(keepdims=True)), 0.0, 1e-3 * float(y.min()), error, relative=True
    )
