"""How long hwnas waits for a server that is away."""

from __future__ import annotations

import math
import os

from hwnas.errors import UsageError

VARIABLE = "HWNAS_PATIENCE"
_SECONDS = 180.0


def patience() -> float:
    """Seconds that a store or a database may be out of reach before an operation on it fails.

    Raises:
        UsageError: `HWNAS_PATIENCE` is no number of seconds.
    """
    told = os.environ.get(VARIABLE)
    if told is None:
        return _SECONDS
    try:
        seconds = float(told)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise UsageError(f"{VARIABLE} is '{told}', not a number of seconds")
    return seconds
