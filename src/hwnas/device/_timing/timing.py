"""When a measurement is good enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hwnas.device._timing.stats import width_within
from hwnas.errors import DeviceError


@dataclass(frozen=True)
class Timing:
    """When a measurement is good enough, and when it ends all the same.

    Attributes:
        width: half width of the interval of the median that is asked for, as a ratio; None makes
            the most rounds, however sure the median is.
        confidence: of that interval.
        processes: in which a model is measured, each a fresh one if there are several. Their
            medians differ more than their samples tell, so several give a narrower interval than
            one that takes as long.
        time_cap: seconds to spend on one model before giving up on `width`, shared by the
            processes. The warm-up comes before and ends after a quarter of it.
        rounds: fewest and most rounds in each process; the fewest also hold against the cap.
        block: seconds that one block of calls lasts at least.
        warm_up: calls before the first that counts; None runs until they get no faster.
        outlier: share of the samples, half of it at each end, that `Measurement.trimmed` leaves
            out; None makes no such mean.
    """

    width: float | None = 0.02
    confidence: float = 0.95
    processes: int = 1
    time_cap: float = 0.7
    rounds: tuple[int, int] = (8, 1000)
    block: float = 1e-3
    warm_up: int | None = None
    outlier: float | None = None

    def __post_init__(self) -> None:
        width = 1.0 if self.width is None else self.width
        if min(width, self.time_cap, self.block) <= 0 or not 0 < self.confidence < 1:
            raise DeviceError("timing: width, time_cap and block must be positive, confidence < 1")
        if (self.warm_up is not None and self.warm_up < 0) or not 0 <= (self.outlier or 0) < 1:
            raise DeviceError("timing: warm_up must be 0 or more, outlier from 0 to below 1")
        if self.processes < 1:
            raise DeviceError(f"timing: processes must be 1 or more, not {self.processes}")
        if not 1 <= self.rounds[0] <= self.rounds[1]:
            raise DeviceError(f"timing: rounds are (fewest, most), not {self.rounds}")

    def of_one(self, process_std: float) -> Timing:
        """For one of the processes, where these differ by the relative `process_std`."""
        width = self.width and width_within(
            self.width, self.confidence, process_std, self.processes
        )
        return replace(self, width=width, time_cap=self.time_cap / self.processes, processes=1)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Timing:
        """The inverse of `dataclasses.asdict`, also after JSON."""
        return cls(**{**data, "rounds": tuple(data["rounds"])})
