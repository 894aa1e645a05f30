"""The timing loop: models and a canary, interleaved in rounds until the medians are known.

The speed of a host drifts, so a model is only compared with the canary blocks right before and
after its own block. A block is several calls in a row, so that a clock tick and a cold cache do
not count for microsecond networks.

The loop also runs on hosts that have no hwnas: see `_remote/bundle.py`.
"""

from __future__ import annotations

import gc
import math
import random
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hwnas.device._timing.runnable import Runnable
from hwnas.device._timing.stats import median_interval
from hwnas.device._timing.timing import Timing

_LONG = 10e-3  # seconds of a call beyond which a cold cache does not count


@dataclass
class Series:
    """What the loop saw of one model.

    Attributes:
        copies: of the model; the rounds take turns with them.
        calls: per block.
        cold: whether a call is so short that the cache left by the one before would show.
        raw: seconds per call, block by block.
        ratios: the same over the canary's.
        spent: seconds, warm-up left out.
        error: what the model raised; it was timed no further.
    """

    copies: Sequence[Runnable]
    calls: int
    cold: bool
    raw: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    spent: float = 0.0
    converged: bool = False
    error: Exception | None = None

    @property
    def next(self) -> Runnable:
        """The copy for the round that comes."""
        return self.copies[len(self.raw) % len(self.copies)]


@dataclass(frozen=True)
class Samples:
    """What the measuring process tells of one model; times in seconds, see `Runnable`."""

    raw: list[float]
    ratios: list[float]
    converged: bool
    cold_start: float | None = None
    size: int | None = None
    peak_memory: int | None = None
    energy: float | None = None

    @classmethod
    def of(cls, series: Series) -> Samples:
        """What the loop saw, and what loading the first copy took."""
        model = series.copies[0]
        return cls(
            raw=series.raw,
            ratios=series.ratios,
            converged=series.converged,
            cold_start=model.cold_start,
            size=model.size,
            peak_memory=model.peak_memory,
            energy=model.energy,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Usage:
    """What the process used while timing (seconds and counts)."""

    wall: float
    cpu: float
    involuntary_switches: int
    minor_faults: int
    major_faults: int


def time_models(
    models: Sequence[Sequence[Runnable]], canary: Sequence[Runnable], timing: Timing
) -> tuple[list[Series], list[float], Usage]:
    """Time every model against the canary; see `Timing` for when each one is done.

    Each is given as one or more copies. They take turns, since the same network differs by where
    in memory it lies, which further calls of one copy would not show.

    Returns the series of the models, the canary's seconds per call, and what the process used.
    """
    canary_calls = _calls(_warm_up(canary, timing), timing)
    series = [_opened(copies, timing) for copies in models]
    canary_series: list[float] = []
    order = random.Random(0)  # in a fixed order each model would always have the same neighbour

    def time_canary() -> None:
        canary_series.append(_block(order.choice(canary), canary_calls))

    collecting = gc.isenabled()
    gc.disable()
    before = _usage()
    try:
        remaining = [index for index, one in enumerate(series) if one.error is None]
        while remaining:
            order.shuffle(remaining)
            start = time.perf_counter()
            time_canary()
            for index in remaining:
                one = series[index]
                try:
                    seconds = _block(one.next, one.calls, cold=one.cold)
                except Exception as error:  # noqa: BLE001 - a model may raise anything
                    one.error = error
                    continue
                one.raw.append(seconds)
                time_canary()
                one.ratios.append(2 * one.raw[-1] / sum(canary_series[-2:]))
                now = time.perf_counter()
                one.spent, start = one.spent + now - start, now
            remaining = [i for i in remaining if not _done(series[i], timing)]
    finally:
        if collecting:
            gc.enable()
    return series, canary_series, _difference(before, _usage())


def _opened(copies: Sequence[Runnable], timing: Timing) -> Series:
    """Warm the model up and plan its blocks."""
    try:
        seconds = _warm_up(copies, timing)
    except Exception as error:  # noqa: BLE001 - a model may raise anything; the others go on
        return Series(copies, 1, cold=False, error=error)
    return Series(copies, _calls(seconds, timing), cold=seconds < _LONG)


def _block(model: Runnable, calls: int, *, cold: bool = True) -> float:
    """Seconds per call; if `cold`, after a call that brings the model back into the cache."""
    if cold:
        model.block(1)
    return model.block(calls) / calls


def _done(one: Series, timing: Timing) -> bool:
    if one.error is not None:
        return True
    n = len(one.raw)
    fewest, most = timing.rounds
    # The interval costs more than a short block, so it is not drawn up every time; and the range of
    # a few samples does not hold the median with the confidence asked for.
    last = n >= most or (n >= fewest and one.spent >= timing.time_cap)
    if timing.width is None:
        one.converged = n >= most
    elif n >= fewest and 2 * 0.5**n <= 1 - timing.confidence and (last or n % 4 == 0):
        median, low, high = median_interval(one.ratios, timing.confidence)
        one.converged = high - low <= 2 * timing.width * median
    return last or one.converged


def _warm_up(copies: Sequence[Runnable], timing: Timing) -> float:
    """Run each copy as often as asked, or until it gets no faster; all within a quarter of the cap.

    Returns seconds per call of the fastest, of one call of each at least.
    """
    return min(_warmed(one, timing, timing.time_cap / 4 / len(copies)) for one in copies)


def _warmed(model: Runnable, timing: Timing, seconds_at_most: float) -> float:
    end = time.perf_counter() + seconds_at_most
    fastest, steady = model.block(1), 0
    if timing.warm_up is not None:
        for _ in range(timing.warm_up - 1):
            if time.perf_counter() >= end:
                break
            fastest = min(fastest, model.block(1))
        return fastest
    fastest = model.block(1)
    while steady < 3 and time.perf_counter() < end:
        calls = _calls(fastest, timing)
        seconds = model.block(calls) / calls
        steady = steady + 1 if seconds > 0.95 * fastest else 0
        fastest = min(fastest, seconds)
    return fastest


def _calls(seconds: float, timing: Timing) -> int:
    return max(1, math.ceil(timing.block / seconds))


def _usage() -> Usage:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(
        time.perf_counter(),
        used.ru_utime + used.ru_stime,
        used.ru_nivcsw,
        used.ru_minflt,
        used.ru_majflt,
    )


def _difference(before: Usage, after: Usage) -> Usage:
    return Usage(
        after.wall - before.wall,
        after.cpu - before.cpu,
        after.involuntary_switches - before.involuntary_switches,
        after.minor_faults - before.minor_faults,
        after.major_faults - before.major_faults,
    )
