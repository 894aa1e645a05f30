"""Stratified splits and samples that depend on the labels and a seed, and on nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import DataError

Rows = NDArray[np.int64]


def split(
    labels: Rows, fractions: Mapping[str, float], seed: int, class_names: Sequence[str], of: str
) -> dict[str, Rows]:
    """Deal the rows of `labels` out: a fraction of each class to each name, the rest to `train`.

    Every split gets at least one row of every class. Rows come sorted.

    Raises:
        DataError: a class has fewer rows than there are splits; `of` names the data.
    """
    rng = np.random.default_rng([seed, 0])
    dealt: dict[str, list[Rows]] = {name: [] for name in ("train", *fractions)}
    for label, class_name in enumerate(class_names):
        rows = rng.permutation(np.flatnonzero(labels == label))
        if len(rows) < len(dealt):
            raise DataError(
                f"{of}: class '{class_name}' has {len(rows)} training images, at least"
                f" {len(dealt)} are needed for the splits {', '.join(dealt)}"
            )
        size, spare = len(rows), len(rows) - len(dealt)
        for name, fraction in fractions.items():
            extra = min(spare, max(0, round(fraction * size) - 1))
            taken, rows, spare = rows[: extra + 1], rows[extra + 1 :], spare - extra
            dealt[name].append(taken)
        dealt["train"].append(rows)
    return {name: np.sort(np.concatenate(rows)) for name, rows in dealt.items()}


def sample(labels: Rows, rows: Rows, limit: int, seed: int) -> Rows:
    """At most `limit` of `rows`, each class in proportion and kept by at least one, sorted."""
    if len(rows) <= limit:
        return rows
    rng = np.random.default_rng([seed, 1])
    classes, counts = np.unique(labels[rows], return_counts=True)
    ideal = counts * (limit / len(rows))
    quota = np.maximum(1, np.floor(ideal).astype(np.int64))
    # Largest remainders first; with classes raised to one, the largest quotas give back.
    for index in np.argsort(quota - ideal, kind="stable")[: max(0, limit - quota.sum())]:
        quota[index] += 1
    while quota.sum() > limit:
        quota[np.argmax(quota)] -= 1
    kept = [
        rng.permutation(rows[labels[rows] == label])[:count]
        for label, count in zip(classes, quota, strict=True)
    ]
    return np.sort(np.concatenate(kept))
