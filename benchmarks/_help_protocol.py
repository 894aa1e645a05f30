"""The protocol by which HELP predicts its published tables (Lee et al., NeurIPS 2021, section 4).

A device is adapted to n of its own latencies, all from the pool: the first 900 archs of
NAS-Bench-201, the first 4,000 of FBNet and OFA. The sources are HELP's training devices, measured
on the pool. Two sets of queries, none of which is in the pool:

- `trimmed`: of the 1,000 archs behind the pool those that are left when the fastest and the
  slowest tenth are cut off, by the device's own latencies. HELP's tables are of this set.
- `all`: every arch that is neither in the pool nor one of HELP's ten reference archs.

Latencies that the import takes for broken (under a hundredth of the device's median) are no query.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hwnas.predict import DevicePredictor, SourceTable, read_sources

DATA = Path(
    os.environ.get("HWNAS_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
_QUERIES = 1000
_CUT = 0.1


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@dataclass(frozen=True)
class Split:
    """HELP's split of the devices of a space, and its pool."""

    space: str
    folder: str
    pool: int
    sources: tuple[str, ...]
    valid: tuple[str, ...]
    targets: tuple[str, ...]
    extra: tuple[str, ...] = ()
    """Devices that HELP's tables leave out."""


SPLITS = {
    split.space: split
    for split in (
        Split(
            "nasbench201",
            "nasbench201",
            900,
            _names(
                "1080ti_1 1080ti_32 1080ti_256 silver_4114 silver_4210r samsung_a50 pixel3 "
                "essential_ph_1 samsung_s7"
            ),
            _names("titanx_1 titanx_32 titanx_256 gold_6240"),
            _names("titan_rtx_256 gold_6226 fpga pixel2 raspi4 eyeriss"),
        ),
        Split(
            "fbnet",
            "fbnet",
            4000,
            _names(
                "1080ti_1 1080ti_32 1080ti_64 silver_4114 silver_4210r samsung_a50 pixel3 "
                "essential_ph_1 samsung_s7"
            ),
            _names("titanx_1 titanx_32 titanx_64 gold_6240"),
            _names("fpga raspi4 eyeriss"),
            _names("gold_6226 pixel2 titan_rtx_1 titan_rtx_32 titan_rtx_64"),
        ),
        Split(
            "ofa_mobilenetv3",
            "ofa",
            4000,
            _names(
                "2080ti_1 2080ti_32 2080ti_64 titan_xp_1 titan_xp_32 titan_xp_64 v100_1 v100_32 "
                "v100_64"
            ),
            _names("titan_rtx_1 titan_rtx_32"),
            _names("titan_rtx_64"),
        ),
    )
}


class Published:
    """The published latencies of a space, and who plays which part."""

    def __init__(self, space: str) -> None:
        self.split = SPLITS[space]
        folder = DATA / "help" / self.split.folder
        self.table: SourceTable = read_sources(folder, space).table
        reference = torch.load(folder / "hardware_embedding_index.pt", weights_only=True)
        self.reference = np.asarray(reference, np.int64)
        """Rows of HELP's ten reference archs."""

    @property
    def pool(self) -> NDArray[np.int64]:
        """Rows that may be measured."""
        return np.arange(self.split.pool)

    def sources(self, devices: Sequence[str] | None = None) -> SourceTable:
        """The training devices (or others) on the pool."""
        return self.table.only(devices or self.split.sources).rows(self.pool)

    def random(self, n: int, seed: int, device: str) -> NDArray[np.int64]:
        """n rows of the pool that the device measured."""
        there = self.pool[~np.isnan(self.table.latencies[device][self.pool])]
        return np.random.RandomState(1000 + seed).choice(there, n, replace=False)

    def queries(self, device: str, which: str) -> NDArray[np.int64]:
        """The rows that are asked for; `which` is `trimmed` or `all`."""
        truth = self.table.latencies[device]
        rows = np.arange(self.split.pool, len(truth))
        if which == "trimmed":
            rows = rows[:_QUERIES]
            order = rows[np.argsort(truth[rows], kind="stable")]  # broken rows come last
            cut = int(_CUT * len(order))
            rows = order[cut : len(order) - cut]
        else:
            rows = np.setdiff1d(rows, self.reference)
        return rows[~np.isnan(truth[rows])]

    def scores(self, device: str, predictor: DevicePredictor) -> dict[str, float]:
        """How well a predictor of the device does; see `Scores`."""
        truth = self.table.latencies[device]
        everything = self.queries(device, "all")
        union = np.union1d(everything, self.queries(device, "trimmed"))
        found = predictor.predict([self.table.archs[row] for row in union])
        place = {int(row): i for i, row in enumerate(union)}
        scores = {}
        for which in ("trimmed", "all"):
            rows = self.queries(device, which)
            at = np.array([place[int(row)] for row in rows])
            scores[which] = spearman(found.mean[at], truth[rows])
        at = np.array([place[int(row)] for row in everything])
        mean, std, real = found.mean[at], found.std[at], truth[everything]
        wrong = np.abs(mean / real - 1)
        scores["median_error"] = float(np.median(wrong))
        scores["within_10"] = float(np.mean(wrong < 0.1))
        scores["cover_90"] = float(np.mean(np.abs(mean - real) <= 1.6449 * std))
        return scores


@cache
def published(space: str) -> Published:
    """Of a space, read once."""
    return Published(space)


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Rank correlation; ties have their mean rank. 0 where one is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(values) for values in (a, b)]
    if any(np.ptp(one) == 0 for one in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])
