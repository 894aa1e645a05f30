"""How good predictions are: against latencies that were measured, and as they themselves say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.predict._base import Prediction

_Z90 = 1.6448536269514722


@dataclass(frozen=True)
class Scores:
    """Predictions against measurements.

    Attributes:
        spearman: rank correlation; NaN where either side is constant.
        median_error: median of |prediction - latency| / latency.
        within_10: share of the archs whose error is at most 10 %.
        coverage: share of the latencies inside the 90 % interval (normal) of their prediction.
        n: how many archs.
    """

    spearman: float
    median_error: float
    within_10: float
    coverage: float
    n: int


def score(prediction: Prediction, latencies: Sequence[float] | NDArray[np.float64]) -> Scores:
    """Predictions of n archs against their measured latencies (ms), two at least."""
    from scipy.stats import spearmanr

    truth = np.asarray(latencies, np.float64)
    errors = np.abs(prediction.mean - truth) / truth
    constant = np.ptp(truth) == 0 or np.ptp(prediction.mean) == 0
    return Scores(
        spearman=math.nan if constant else float(spearmanr(prediction.mean, truth).statistic),
        median_error=float(np.median(errors)),
        within_10=float(np.mean(errors <= 0.1)),
        coverage=float(np.mean(np.abs(prediction.mean - truth) <= _Z90 * prediction.std)),
        n=len(truth),
    )


def expected_error(prediction: Prediction, share: float = 0.5) -> float | None:
    """The relative error that this share of the predictions keeps, as their deviations say.

    With a share of 0.5 it is the median relative error to expect, of normal errors; None where the
    predictor tells no deviation.
    """
    from scipy.special import erf

    relative = prediction.std / prediction.mean
    if not np.any(relative):
        return None
    low, high = 0.0, 10 * float(relative.max())
    scale = np.where(relative > 0, relative, np.finfo(float).tiny) * math.sqrt(2)
    for _ in range(60):
        middle = (low + high) / 2
        if np.mean(erf(middle / scale)) < share:
            low = middle
        else:
            high = middle
    return high
