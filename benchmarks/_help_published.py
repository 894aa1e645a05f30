"""HELP's own evaluation, as its code does it.

The hardware embedding takes 10 fixed reference archs, the inner steps 10 others, drawn from the
pool without the tenth that is fastest and the tenth that is slowest on the device. Scores are
scaled by the range of these 720 or 3,200 latencies. So 20 archs are measured, and more is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from benchmarks._help_protocol import Protocol, evaluate
from hwnas.predict import HELP

_SAMPLES = 10


def checkpoint(on: Protocol, folder: Path) -> Callable[[int], HELP]:
    """HELP with the published weights, by seed; `folder` is HELP's data."""
    name = {"ofa_mobilenetv3": "ofa"}.get(on.space, on.space)
    path = folder / name / "checkpoint" / "help_max_corr.pt"
    return lambda seed: HELP.from_checkpoint(path, on.space, seed=seed, device="cpu")


def published_scores(
    make: Callable[[int], HELP], on: Protocol, device: str, seeds: Iterable[int]
) -> list[float]:
    """Spearman on the trimmed query archs, for each seed."""
    pool = on.split.pool
    latencies = on.table.latencies[device]
    middle = np.argsort(latencies[:pool], kind="stable")[int(pool * 0.1) : int(pool * 0.9)]
    bounds = float(latencies[middle].min()), float(latencies[middle].max())
    found = []
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(middle)
        others = [int(place) for place in order if place not in on.reference][:_SAMPLES]
        places = [*on.reference.tolist(), *others]
        adapted = make(seed).adapt(
            [on.archs[place] for place in places],
            on.latencies(device, places),
            published_bounds=bounds,
        )
        found.append(evaluate(adapted, on, device)["trimmed"].spearman)
    return found
