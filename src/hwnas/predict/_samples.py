"""The measurements that a predictor adapts to, checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import PredictError
from hwnas.space import Arch


def checked_latencies(
    archs: Sequence[Arch], latencies: Sequence[float], least: int = 1
) -> NDArray[np.float64]:
    """Latencies (ms) of archs as an array (n,).

    Raises:
        PredictError: their numbers differ, there are fewer than `least`, or one is no positive
            finite number; the message names the row.
    """
    if len(archs) != len(latencies):
        raise PredictError(f"there are {len(latencies)} latencies for {len(archs)} archs")
    if len(archs) < least:
        raise PredictError(f"{len(archs)} measurements are too few: this predictor takes {least}")
    values = np.zeros(len(latencies))
    for row, latency in enumerate(latencies):
        try:
            values[row] = float(latency)
        except (TypeError, ValueError):
            values[row] = np.nan
        if not (np.isfinite(values[row]) and values[row] > 0):
            raise PredictError(f"row {row}: the latency {latency!r} is no positive number of ms")
    return values
