"""From timed blocks to measurements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwnas.device._measurement import Canary, Environment, Measurement, Percentiles, TrimmedMean
from hwnas.device._timing.engine import Samples, Usage
from hwnas.device._timing.stats import drifted, median_interval, trimmed_mean
from hwnas.device._timing.timing import Timing

_DRIFT = 0.05  # of the canary from its reference
_CPU_SHARE = 0.9  # below it, somebody else had the CPU
_SWITCHES = 100.0  # involuntary context switches per second


def summarise(
    samples: Sequence[Samples],
    canary: Sequence[float],
    usage: Usage,
    where: Environment,
    *,
    device: str,
    timing: Timing,
    reference: float | None,
) -> list[Measurement]:
    """One latency measurement (ms) for each model, in which nothing went wrong.

    `canary` holds its seconds per call; `reference` None takes it as it is now.
    """
    now = 1e3 * float(np.median(canary))
    speed = Canary(median=now, reference=now if reference is None else reference)
    warnings = _warnings(speed, where, usage)
    results = []
    for one in samples:
        values = np.asarray(one.ratios) * speed.reference
        interval = median_interval(values.tolist(), timing.confidence)
        median, low, high = drifted(interval, timing.confidence, after=1 + speed.drift)
        p10, p90, p99 = np.percentile(values, (10, 90, 99)).tolist()
        results.append(
            Measurement(
                device=device,
                metric="latency",
                unit="ms",
                median=median,
                low=low,
                high=high,
                confidence=timing.confidence,
                n=len(one.raw),
                samples=Percentiles(p10, p90, p99),
                raw_median=1e3 * float(np.median(one.raw)),
                canary=speed,
                converged=one.converged,
                warnings=warnings,
                environment=where,
                cold_start_ms=None if one.cold_start is None else 1e3 * one.cold_start,
                size_bytes=one.size,
                peak_memory_bytes=one.peak_memory,
                energy_mj=None if one.energy is None else 1e3 * one.energy,
                trimmed=None
                if timing.outlier is None
                else TrimmedMean(timing.outlier, *trimmed_mean(values.tolist(), timing.outlier)),
            )
        )
    return results


def _warnings(canary: Canary, where: Environment, usage: Usage) -> tuple[str, ...]:
    found = []
    if abs(canary.drift) > _DRIFT:
        found.append(f"drift: the host runs {canary.drift:+.0%} off its reference time")
    if where.accelerator == "cpu":
        # Threads of a runtime may sleep while one works, so their CPU time tells nothing.
        if where.threads == 1 and where.cpu_share is not None and where.cpu_share < _CPU_SHARE:
            found.append(f"contention: the worker had only {where.cpu_share:.0%} of a CPU")
        rate = usage.involuntary_switches / usage.wall
        if rate > _SWITCHES:
            found.append(f"contention: {rate:.0f} involuntary context switches per second")
    if where.nice is not None and where.nice > 0:
        found.append(f"contention: measured at nice {where.nice}")
    return tuple(found)
