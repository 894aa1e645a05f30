"""How well a predictor does on a device whose latencies are known already."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from hwnas.errors import PredictError, UsageError
from hwnas.predict._base import LatencyPredictor
from hwnas.predict._scores import Scores, score
from hwnas.predict._sources import SourceTable, arch_key

Chosen = Literal["random", "design", "active"]
"""How the archs to measure are chosen: at random; by the predictor beforehand; by the predictor,
half of them beforehand and then one by one."""


def held_out(
    predictor: LatencyPredictor,
    table: SourceTable,
    device: str,
    n: int = 10,
    *,
    chosen: Chosen = "design",
    seed: int = 0,
) -> Scores:
    """Adapt to `n` latencies of a device, and predict all others that it has.

    Args:
        predictor: fitted; the device should not be among its sources.
        table: has the device.
        chosen: the archs to adapt to. Designs would be the same for each seed, so that they may
            choose from half of the archs, drawn at random; the other half, too, is predicted.

    Raises:
        PredictError: the table has no such device, or it has fewer than n + 2 latencies.
    """
    if chosen not in get_args(Chosen):
        raise UsageError(f"'{chosen}' is no way to choose; ways are {', '.join(get_args(Chosen))}")
    truth = table.only([device]).latencies[device]
    rows = np.flatnonzero(~np.isnan(truth))
    if not 1 <= n <= len(rows) - 2:
        raise PredictError(
            f"device '{device}' has {len(rows)} latencies; n must be from 1 to {len(rows) - 2}"
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(rows)
    at = order[:n] if chosen == "random" else _suggested(predictor, table, truth, order, n, chosen)
    others = np.setdiff1d(rows, at)
    archs = table.archs
    adapted = predictor.adapt([archs[row] for row in at], truth[at].tolist())
    return score(adapted.predict([archs[row] for row in others]), truth[others])


def _suggested(
    predictor: LatencyPredictor,
    table: SourceTable,
    truth: np.ndarray,
    order: np.ndarray,
    n: int,
    chosen: Chosen,
) -> np.ndarray:
    pool = order[: max(n, len(order) // 2)]
    # Of all rows: a method with reference archs asks for those, wherever they are.
    place = {arch_key(table.archs[row]): int(row) for row in order}
    archs = [table.archs[row] for row in pool]
    first = n if chosen == "design" else (n + 1) // 2
    taken = [place[arch_key(arch)] for arch in predictor.suggest(first, archs)]
    while len(taken) < n:
        known = [(table.archs[row], float(truth[row])) for row in taken]
        left = [table.archs[row] for row in pool if row not in taken]
        (arch,) = predictor.suggest(1, left, measured=known)
        taken.append(place[arch_key(arch)])
    return np.array(taken)
