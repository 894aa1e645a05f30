"""How many devices a search needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hwnas.errors import UsageError


@dataclass(frozen=True)
class Sizing:
    """Devices of one name that a search with parallel trials needs.

    Attributes:
        throughput: so that measuring keeps up with training: trials that finish while one is
            measured need devices of their own.
        burst: so that even if all parallel trials finish at once, the last of them is measured
            within the time-out.
        waiting: minutes that the last of such a burst waits with `devices`, its own measuring
            included.
    """

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
    return Sizing(max(throughput, 1), burst, math.ceil(parallel / devices) * evaluate)
