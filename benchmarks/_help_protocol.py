"""HELP's protocol: which archs and devices are learnt from, and which are asked for.

`trimmed` are HELP's query archs: the 1,000 after the pool without the tenth that is fastest and
the tenth that is slowest on the device. `all` are the archs that are neither in the pool nor among
HELP's reference archs. Every measurement of a device counts: HELP's own "10 samples" are these 10
reference archs and 10 others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hwnas.predict import DevicePredictor, LatencyPredictor, Scores, SourceTable, read_sources
from hwnas.predict import score as scored
from hwnas.space import Arch

_GPUS = {"nasbench201": (1, 32, 256), "fbnet": (1, 32, 64)}
_OTHERS = ["silver_4114", "silver_4210r", "samsung_a50", "pixel3", "essential_ph_1", "samsung_s7"]
_QUERIES = 1000


@dataclass(frozen=True)
class Split:
    """Devices by what they are for, and how many archs the sources measured (the first ones)."""

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]
    pool: int


def _batches(names: str, sizes: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{name}_{size}" for name in names.split() for size in sizes)


SPLITS = {
    **{
        space: Split(
            (*_batches("1080ti", sizes), *_OTHERS),
            (*_batches("titanx", sizes), "gold_6240"),
            test,
            pool,
        )
        for (space, sizes), test, pool in zip(
            _GPUS.items(),
            (
                ("titan_rtx_256", "gold_6226", "fpga", "pixel2", "raspi4", "eyeriss"),
                ("fpga", "raspi4", "eyeriss"),
            ),
            (900, 4000),
            strict=True,
        )
    },
    "ofa_mobilenetv3": Split(
        _batches("2080ti titan_xp v100", (1, 32, 64)),
        ("titan_rtx_1", "titan_rtx_32"),
        ("titan_rtx_64",),
        4000,
    ),
}


@dataclass(frozen=True)
class Protocol:
    """One space with its archs and devices.

    Attributes:
        table: all archs, all devices, as published: no row is left out.
        reference: places of HELP's 10 reference archs.
    """

    space: str
    split: Split
    table: SourceTable
    reference: NDArray[np.int64]

    @property
    def archs(self) -> tuple[Arch, ...]:
        """All of them."""
        return self.table.archs

    def sources(self, devices: Sequence[str] = ()) -> SourceTable:
        """What is learnt from: the pool on the training devices, or on others."""
        return self.table.only(devices or self.split.train).rows(range(self.split.pool))

    @cached_property
    def all(self) -> NDArray[np.int64]:
        """Places of the archs that are asked for."""
        return np.setdiff1d(np.arange(self.split.pool, len(self.archs)), self.reference)

    def trimmed(self, device: str) -> NDArray[np.int64]:
        """Places of HELP's query archs on a device, as far as they are among `all`."""
        pool = self.split.pool
        count = min(_QUERIES, len(self.archs) - pool)
        latencies = self.table.latencies[device][pool : pool + count]
        order = pool + np.argsort(latencies, kind="stable")
        return np.intersect1d(order[int(count * 0.1) : int(count * 0.9)], self.all)

    def subset(self, number: int) -> list[int]:
        """Candidates of design `number`: random archs of the pool; of a small one, first all."""
        pool = self.split.pool
        if number == 0 and pool <= 900:
            return list(range(pool))
        chance = np.random.default_rng(number)
        return sorted(chance.choice(pool, 450, replace=False).tolist())

    def latencies(self, device: str, places: Sequence[int]) -> list[float]:
        """As measured, in ms."""
        values: list[float] = self.table.latencies[device][np.asarray(places)].tolist()
        return values


def protocol(space: str, folder: Path) -> Protocol:
    """The protocol of a space of the zoo on the data in HELP's folder layout in `folder`."""
    split = SPLITS[space]
    name = {"ofa_mobilenetv3": "ofa"}.get(space, space)
    read = read_sources(folder, space).table
    published = {
        # Archs that compute nothing take (almost) no time on some devices: they are no faults.
        device: np.asarray(
            torch.load(folder / name / "latency" / f"{device}.pt", weights_only=True), np.float64
        )
        for device in read.devices
    }
    places = torch.load(folder / name / "hardware_embedding_index.pt", weights_only=True)
    table = SourceTable(
        space, read.archs, published, read.provenance, read.input_shape, read.num_classes
    )
    return Protocol(space, split, table, np.asarray(places, np.int64))


def designs(predictor: LatencyPredictor, on: Protocol, n: int, count: int = 8) -> list[list[int]]:
    """What a predictor asks to be measured first: n archs, of each of several random subsets."""
    found = []
    for number in range(count):
        candidates = {id(on.archs[place]): place for place in on.subset(number)}
        chosen = predictor.suggest(n, [on.archs[place] for place in candidates.values()])
        found.append([candidates[id(arch)] for arch in chosen])
    return found


def adapted(
    predictor: LatencyPredictor, on: Protocol, device: str, places: Sequence[int]
) -> DevicePredictor:
    """What a predictor makes of a device that measured some archs."""
    return predictor.adapt([on.archs[p] for p in places], on.latencies(device, places))


def evaluate(predictor: DevicePredictor, on: Protocol, device: str) -> dict[str, Scores]:
    """Scores on the archs of `all` and of `trimmed`."""
    prediction = predictor.predict([on.archs[place] for place in on.all])
    truth = on.table.latencies[device][on.all]
    inside = np.isin(on.all, on.trimmed(device))
    part = type(prediction)(prediction.mean[inside], prediction.std[inside])
    return {"all": scored(prediction, truth), "trimmed": scored(part, truth[inside])}
