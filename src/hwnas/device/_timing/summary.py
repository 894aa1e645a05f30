"""From timed blocks to measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import TypeVar

import numpy as np

from hwnas.device._measurement import Canary, Environment, Measurement, Percentiles, TrimmedMean
from hwnas.device._timing.engine import Samples, Usage
from hwnas.device._timing.stats import between_processes, drifted, median_interval, trimmed_mean
from hwnas.device._timing.timing import Timing

_Number = TypeVar("_Number", int, float)

_DRIFT = 0.05  # of the canary from its reference
_CPU_SHARE = 0.9  # below it, somebody else had the CPU
_SWITCHES = 100.0  # involuntary context switches per second


@dataclass(frozen=True)
class Take:
    """What one process told of a model; `canary` holds its seconds per call."""

    samples: Samples
    canary: Sequence[float]
    usage: Usage
    environment: Environment


def summarise(
    takes: Sequence[Take],
    *,
    device: str,
    timing: Timing,
    reference: float | None,
    process_std: float,
) -> Measurement:
    """The latency (ms) of one model, in which nothing went wrong, from one or more processes.

    `reference` None takes the canary as it is now.
    """
    confidence = timing.confidence
    now = 1e3 * median(np.concatenate([one.canary for one in takes]).tolist())
    speed = Canary(median=now, reference=now if reference is None else reference)
    each = [(np.asarray(one.samples.ratios) * speed.reference).tolist() for one in takes]
    within = [median_interval(values, confidence) for values in each]
    value, low, high = between_processes(within, confidence, process_std)
    narrow = timing.width is None or high - low <= 2 * timing.width * value
    value, low, high = drifted((value, low, high), confidence, after=1 + speed.drift)
    samples, raw = np.concatenate(each), np.concatenate([one.samples.raw for one in takes])
    p10, p90, p99 = np.percentile(samples, (10, 90, 99)).tolist()
    warnings = dict.fromkeys(w for one in takes for w in _warnings(one))
    if abs(speed.drift) > _DRIFT:
        warnings[f"drift: the host runs {speed.drift:+.0%} off its reference time"] = None
    cold_start = _known([one.samples.cold_start for one in takes])
    energy = _known([one.samples.energy for one in takes])
    return Measurement(
        device=device,
        metric="latency",
        unit="ms",
        median=value,
        low=low,
        high=high,
        confidence=confidence,
        n=len(raw),
        samples=Percentiles(p10, p90, p99),
        raw_median=1e3 * float(np.median(raw)),
        canary=speed,
        converged=narrow and all(one.samples.converged for one in takes),
        warnings=tuple(warnings),
        environment=takes[-1].environment,
        cold_start_ms=1e3 * median(cold_start) if cold_start else None,
        size_bytes=takes[0].samples.size,
        peak_memory_bytes=max(_known([one.samples.peak_memory for one in takes]), default=None),
        energy_mj=1e3 * fmean(energy) if energy else None,
        trimmed=None
        if timing.outlier is None
        else TrimmedMean(timing.outlier, *trimmed_mean(samples.tolist(), timing.outlier)),
        processes=len(takes),
    )


def _known(values: Sequence[_Number | None]) -> list[_Number]:
    return [value for value in values if value is not None]


def _warnings(take: Take) -> tuple[str, ...]:
    found, where, usage = [], take.environment, take.usage
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
