"""The interval of a median from its samples, with no assumption about their distribution.

Also runs on hosts that have no hwnas, where numpy is missed with a message, not at the import.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

_TRACKING = 0.25
"""Standard deviation of the share of the canary's drift that a network does not follow.

Measured: between sessions in which the canary ran up to 30 % slower, beside other work, networks of
0.6 to 11 ms ran slower by 0.6 to 1.1 of that, most often by 0.7.
"""


@lru_cache(maxsize=4096)
def _rank(n: int, confidence: float) -> int:
    """The largest k so that the k-th smallest and k-th largest of n samples hold the median.

    0 if n are too few for any.
    """
    tail, below, k = (1 - confidence) / 2, 0.0, 0
    all_ways = math.lgamma(n + 1) - n * math.log(2)
    for i in range(n // 2):
        below += math.exp(all_ways - math.lgamma(i + 1) - math.lgamma(n - i + 1))
        if below > tail:
            break
        k = i + 1
    return k


def trimmed_mean(samples: Sequence[float], outlier: float) -> tuple[float, float]:
    """The mean without the share `outlier`, half of it at each end, and its standard error.

    At least one sample is left. The error is that of the Winsorised samples; of a single sample it
    is 0. Source: Tukey and McLaughlin, Sankhya A 25 (1963).
    """
    import numpy as np

    ordered = np.sort(np.asarray(samples, dtype=float))
    n = len(ordered)
    cut = min(int(n * outlier / 2), (n - 1) // 2)
    kept = ordered[cut : n - cut]
    if n == 1:
        return float(kept[0]), 0.0
    spread = float(np.std(np.clip(ordered, kept[0], kept[-1]), ddof=1))
    return float(kept.mean()), spread * n**0.5 / len(kept)


def effective_size(samples: Sequence[float]) -> float:
    """How many independent samples tell as much about the median as these, which may be alike.

    What disturbs a host lasts for more than one sample. n over the autocorrelation time of which
    samples lie above the median; its sum ends at the first lag without correlation, in the manner
    of Geyer, Practical Markov Chain Monte Carlo, Statistical Science 7 (1992), section 3.3.
    """
    import numpy as np

    array = np.asarray(samples, dtype=float)
    above = np.sign(array - np.median(array))
    n, power, length = len(above), float(above @ above), 1.0
    for lag in range(1, n // 3 + 1):
        together = float(above[lag:] @ above[:-lag])
        if together <= 0:
            break
        length += 2 * together / power
    return n / length


def median_interval(samples: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Median, low and high: the order-statistic (binomial) interval of the median.

    Distribution free; covers the true median with about the given confidence, for samples in the
    order in which they were taken. Fewer than 6 independent ones cannot reach 0.95: the interval is
    then all of their range. Source: David and Nagaraja, Order Statistics, section 7.1, with the
    effective number of samples.
    """
    import numpy as np

    ordered = np.sort(np.asarray(samples, dtype=float))
    n, independent = len(ordered), max(1, int(effective_size(samples)))
    k = max(1, _rank(independent, confidence) * n // independent)
    return float(np.median(ordered)), float(ordered[k - 1]), float(ordered[-k])


def between_processes(
    intervals: Sequence[tuple[float, float, float]], confidence: float, process_std: float
) -> tuple[float, float, float]:
    """What one process or several tell of the median over all processes, with its interval.

    A process draws a factor of its own for each network: memory lies elsewhere in it. So the
    interval of the samples of one process is too narrow. To its variance comes that between
    processes: the known one, or what the processes show beyond what they cannot know of
    themselves if that is more.

    Args:
        intervals: median, low and high within each process.
        confidence: of those, and of the result.
        process_std: relative standard deviation between processes.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    logs = [math.log(median) for median, _, _ in intervals]
    centre, count = sum(logs) / len(logs), len(logs)
    sides = [
        sum(math.log(interval[side] / interval[0]) ** 2 for interval in intervals) / count
        for side in (1, 2)
    ]
    between = process_std**2
    if count > 1:
        seen = sum((one - centre) ** 2 for one in logs) / (count - 1)
        between = max(between, seen - sum(sides) / 2 / z**2)
    low, high = (math.sqrt((side + z**2 * between) / count) for side in sides)
    median = math.exp(centre) if count > 1 else intervals[0][0]
    return median, median * math.exp(-low), median * math.exp(high)


def width_within(width: float, confidence: float, process_std: float, processes: int) -> float:
    """The half width that is left for one process, if `width` is that of the result of several.

    Where the processes alone differ by nearly as much, half of `width` in place of ever more
    rounds that would tell little.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    left = width**2 - (z * process_std) ** 2 / processes
    return math.sqrt(max(left, (width / 2) ** 2) * processes)


def drifted(
    interval: tuple[float, float, float], confidence: float, *, before: float = 1, after: float
) -> tuple[float, float, float]:
    """Median, low and high with what the canary's drift makes uncertain.

    A network follows the canary when the host gets slower, but not to the letter. `after` is the
    canary's speed over its reference, `before` the same as far as it is in the interval already.
    """
    median, *bounds = interval
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    lost = [(z * _TRACKING * math.log(ratio)) ** 2 for ratio in (before, after)]
    low, high = (
        math.sqrt(max(math.log(bound / median) ** 2 - lost[0], 0) + lost[1]) for bound in bounds
    )
    return median, median * math.exp(-low), median * math.exp(high)
