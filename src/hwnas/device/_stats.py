"""The interval of a median from its samples, with no assumption about their distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=4096)
def _rank(n: int, confidence: float) -> int:
    """The largest k so that the k-th smallest and k-th largest of n samples hold the median."""
    tail, below, k = (1 - confidence) / 2, 0.0, 0
    all_ways = math.lgamma(n + 1) - n * math.log(2)
    for i in range(n // 2):
        below += math.exp(all_ways - math.lgamma(i + 1) - math.lgamma(n - i + 1))
        if below > tail:
            break
        k = i + 1
    return max(k, 1)


def trimmed_mean(samples: Sequence[float], outlier: float) -> tuple[float, float]:
    """The mean without the share `outlier`, half of it at each end, and its standard error.

    At least one sample is left. The error is that of the Winsorised samples; of a single sample it
    is 0. Source: Tukey and McLaughlin, Sankhya A 25 (1963).
    """
    ordered = np.sort(np.asarray(samples, dtype=float))
    n = len(ordered)
    cut = min(int(n * outlier / 2), (n - 1) // 2)
    kept = ordered[cut : n - cut]
    if n == 1:
        return float(kept[0]), 0.0
    spread = float(np.std(np.clip(ordered, kept[0], kept[-1]), ddof=1))
    return float(kept.mean()), spread * n**0.5 / len(kept)


def median_interval(samples: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Median, low and high: the order-statistic (binomial) interval of the median.

    Distribution free; for independent samples it covers the true median with at least the given
    confidence. Fewer than 6 samples cannot reach 0.95: the interval is then all of their range.
    Source: David and Nagaraja, Order Statistics, section 7.1.
    """
    ordered = np.sort(np.asarray(samples, dtype=float))
    k = _rank(len(ordered), confidence)
    return float(np.median(ordered)), float(ordered[k - 1]), float(ordered[-k])
