"""The step of the clock that latencies were taken with."""

from __future__ import annotations

from collections.abc import Sequence

_STEPS = (100.0, 10.0, 1.0, 0.1, 0.01)


def resolution(latencies: Sequence[float]) -> float:
    """The largest power of ten in ms of which all are multiples; 0 where they are of none.

    Few latencies are no proof: at least three different ones are asked for.
    """
    if len(set(latencies)) < 3:
        return 0.0
    for step in _STEPS:
        if all(
            abs(value / step - round(value / step)) < 1e-9 * value / step for value in latencies
        ):
            return step
    return 0.0
