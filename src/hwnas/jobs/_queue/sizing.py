"""How many devices a search needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

from hwnas.errors import UsageError

_ENOUGH = 3  # trials whose times tell something


@dataclass(frozen=True)
class Sizing:
    """Devices of one name that a search with parallel trials needs.

    Attributes:
        parallel: the trials.
        throughput: so that measuring keeps up with training: trials that finish while one is
            measured need devices of their own.
        burst: so that even if all parallel trials finish at once, the last of them is measured
            within the time-out.
        waiting: minutes that the last of such a burst waits with `devices`, its own measuring
            included.
    """

    parallel: int
    throughput: int
    burst: int
    waiting: float

    @property
    def devices(self) -> int:
        """The larger of both."""
        return max(self.throughput, self.burst)


def sizing(parallel: int, train: float, evaluate: float, timeout: float = 10.0) -> Sizing:
    """What `parallel` trials of `train` minutes need if measuring one takes `evaluate` minutes.

    Args:
        timeout: minutes that a trial waits for its measurement.

    Raises:
        UsageError: a number is not positive, or measuring one takes longer than the time-out.
    """
    for name, value in (
        ("parallel trials", parallel),
        ("minutes of training", train),
        ("minutes of measuring", evaluate),
        ("time-out", timeout),
    ):
        if not 0 < value < math.inf:
            raise UsageError(f"{name} must be positive, not {value}")
    if evaluate > timeout:
        raise UsageError(
            f"measuring takes {evaluate:g} minutes, longer than the time-out of {timeout:g}"
        )
    throughput = math.ceil(round(parallel * evaluate / train, 9))
    burst = math.ceil(parallel / math.floor(round(timeout / evaluate, 9)))
    devices = max(throughput, burst, 1)
    return Sizing(parallel, max(throughput, 1), burst, math.ceil(parallel / devices) * evaluate)


@dataclass(frozen=True)
class MeasuredIn:
    """How long a trial's measurement took.

    Attributes:
        waited: seconds, those in the queue included.
        occupied: seconds for which it kept a device busy.
        workers: that served the device then; None for a device at hand.
    """

    waited: float
    occupied: float
    workers: int | None = None


@dataclass
class Pace:
    """How long the trials of a job train, and how long they are measured on devices elsewhere.

    Args:
        parallel: trials that train at the same time.
    """

    parallel: int
    train: list[float] = field(default_factory=list)
    measured: dict[str, list[MeasuredIn]] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set)

    def add(self, train: float, measured: Mapping[str, MeasuredIn]) -> None:
        """A trial that trained so many seconds."""
        self.train.append(max(train, 1e-3))
        for name, one in measured.items():
            if one.workers is not None:
                self.measured.setdefault(name, []).append(one)

    def sizing(self, name: str, timeout: float = 10.0) -> Sizing | None:
        """What the job needs of a device, by its own times; None as long as these are too few.

        `timeout` in minutes, as in `hwnas.jobs.sizing`.
        """
        found = self.measured.get(name, [])
        if min(len(self.train), len(found)) < _ENOUGH:
            return None
        evaluate = max(fmean(one.occupied for one in found), 1e-3) / 60
        return sizing(self.parallel, fmean(self.train) / 60, evaluate, max(timeout, evaluate))

    def too_few(self) -> list[str]:
        """A line for each device that cannot keep up with the training, once."""
        lines = []
        for name, found in self.measured.items():
            needed, workers = self.sizing(name), found[-1].workers or 0
            if needed is not None and workers < needed.throughput and name not in self._warned:
                self._warned.add(name)
                lines.append(f"too few devices: {self._told(name, needed)}; trials wait for them")
        return lines

    def summary(self) -> list[str]:
        """A line for each device, after the trials."""
        found = {name: self.sizing(name) for name in self.measured}
        return [self._told(name, needed) for name, needed in found.items() if needed is not None]

    def _told(self, name: str, needed: Sizing) -> str:
        found = self.measured[name]
        workers = found[-1].workers or 0
        return (
            f"'{name}' needs {needed.throughput} to keep up with {self.parallel} trials at a time, "
            f"and {workers} {'serves' if workers == 1 else 'serve'} it (mean times: training "
            f"{fmean(self.train):.3g} s, measuring {fmean(one.occupied for one in found):.3g} s, "
            f"{fmean(one.waited for one in found):.3g} s with the queue)"
        )
