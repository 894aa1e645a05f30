"""Latency of unseen devices from a few measurements, on the published tables.

Run as `python -m benchmarks.predict [--quick] [--only PART] [--json FILE]`; the data is found by
`HWNAS_TEST_DATA`. The protocol stands in `benchmarks/_help_protocol.py`: sources are HELP's nine
training devices, `trimmed` are HELP's 1,000 query archs with 10 % cut at each side, `all` every
arch that no source measured and that is no reference arch of HELP. n counts every measurement.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, Any

from benchmarks._data import DATA
from benchmarks._predict_published import (
    ERRORS,
    GOALS,
    HELP_FIVE,
    HELP_PAPER,
    MEANS,
    OTHERS,
)
from benchmarks._rows import Row, main

if TYPE_CHECKING:
    from benchmarks._help_protocol import Protocol
    from hwnas.predict import HELP, LatencyPredictor, Scores

SPACES = ("nasbench201", "fbnet", "ofa_mobilenetv3")
KINDS = {
    "GPUs": ("1080ti", "titan", "2080ti", "v100"),
    "CPUs": ("silver", "gold"),
    "phones": ("samsung", "pixel", "essential"),
}


@functools.cache
def on(space: str) -> Protocol:
    from benchmarks._help_protocol import protocol

    return protocol(space, DATA / "help")


@functools.cache
def fitted(method: str, space: str, *devices: str) -> LatencyPredictor:
    """A predictor that has learnt from HELP's training devices, or from those that are named."""
    from hwnas.predict import make_predictor

    predictor = make_predictor(method)
    predictor.fit(on(space).sources(devices))
    return predictor


def targets() -> Iterator[tuple[str, str]]:
    """The test devices of each space."""
    for space in SPACES:
        for device in on(space).split.test:
            yield space, device


@functools.cache
def designed(space: str, n: int, count: int, *devices: str) -> list[list[int]]:
    from benchmarks._help_protocol import designs

    return designs(fitted("metabma", space, *devices), on(space), n, count)


def drawn(space: str, n: int, count: int) -> list[list[int]]:
    """Random archs of the pool."""
    import numpy as np

    pool = on(space).split.pool
    return [
        np.random.default_rng(1000 + number).choice(pool, n, replace=False).tolist()
        for number in range(count)
    ]


def scores_of(
    predictor: LatencyPredictor, space: str, device: str, chosen: Sequence[Sequence[int]]
) -> list[dict[str, Scores]]:
    from benchmarks._help_protocol import adapted, evaluate

    return [
        evaluate(adapted(predictor, on(space), device, places), on(space), device)
        for places in chosen
    ]


def mean(found: Sequence[dict[str, Scores]], archs: str, figure: str) -> float:
    return fmean(getattr(one[archs], figure) for one in found)


def ten(quick: bool) -> list[Row]:
    """The default predictor at ten measurements, mean of eight designs."""
    rows: list[Row] = []
    means: dict[tuple[str, str], list[float]] = {}
    for space, device in targets():
        found = scores_of(
            fitted("metabma", space), space, device, designed(space, 10, 2 if quick else 8)
        )
        label = f"{space} {device}, n = 10"
        paper = HELP_PAPER.get((space, device))
        for archs, goal in zip(("trimmed", "all"), GOALS[space, device], strict=True):
            value = mean(found, archs, "spearman")
            means.setdefault((space, archs), []).append(value)
            peer: Any = (paper, "HELP's paper, 20") if paper and archs == "trimmed" else ()
            rows.append(Row(f"{label}: Spearman, {archs}", value, "", goal, "higher", *peer))
        error, within = ERRORS.get((space, device), (None, None))
        rows += [
            Row(f"{label}: median error", mean(found, "all", "median_error"), "", error, "lower"),
            Row(f"{label}: within 10%", mean(found, "all", "within_10"), "", within, "higher"),
            *between(f"{label}: 90% intervals hold", mean(found, "all", "coverage"), 0.85, 0.97),
        ]
    for (space, archs), values in means.items():
        if space in MEANS:
            goal = MEANS[space][archs == "all"]
            label = f"{space}, mean of {len(values)} devices, n = 10: Spearman, {archs}"
            rows.append(Row(label, fmean(values), "", goal, "higher"))
    return rows


def between(label: str, value: float, low: float, high: float) -> list[Row]:
    """A figure that must lie between two bounds: a row for each."""
    return [
        Row(f"{label}, at least", value, "", low, "higher"),
        Row(f"{label}, at most", value, "", high, "lower"),
    ]


def five(quick: bool) -> list[Row]:
    """Five measurements, against HELP's fifteen."""
    rows = []
    for space, device in targets():
        chosen = designed(space, 5, 2 if quick else 8)
        found = scores_of(fitted("metabma", space), space, device, chosen)
        theirs = HELP_FIVE[space, device]
        rows.append(
            Row(
                f"{space} {device}, n = 5: Spearman, all",
                mean(found, "all", "spearman"),
                "",
                theirs,
                "higher",
                theirs,
                "HELP's code, 15",
            )
        )
    return rows


BASELINES = ("flops", "lookup", "ridge", "source-mean", "source-mix", "metabma")
COUNTS = (3, 5, 7, 10, 15, 20, 30, 50, 100)


def curves(quick: bool) -> list[Row]:
    """Spearman over the number of measurements, for the closed-form predictors."""
    counts = (5, 20) if quick else COUNTS
    rows = []
    for space, device in targets():
        for method in BASELINES:
            predictor = fitted(method, space)
            for n in counts:
                ours = method == "metabma"
                chosen = designed(space, n, 2) if ours else drawn(space, n, 2 if quick else 5)
                found = scores_of(predictor, space, device, chosen)
                label = f"{space} {device}, {method}, n = {n}: Spearman, all"
                rows.append(Row(label, mean(found, "all", "spearman"), "", None, "higher"))
    return rows


def kinds(quick: bool) -> list[Row]:
    """Sources without a kind of device: how much is lost on devices of that kind, and of others."""
    rows = []
    for space in SPACES[:2]:
        train = on(space).split.train
        for kind, names in KINDS.items():
            left = tuple(d for d in train if not d.startswith(names))
            for device in on(space).split.test:
                chosen = designed(space, 10, 2 if quick else 4, *left)
                found = scores_of(fitted("metabma", space, *left), space, device, chosen)
                label = f"{space} {device}, no {kind} among the sources, n = 10: Spearman, all"
                rows.append(Row(label, mean(found, "all", "spearman"), "", None, "higher"))
    return rows


def brp(quick: bool) -> list[Row]:
    """BRP-NAS with 900 and with 3,200 measurements of the device."""
    import numpy as np

    from hwnas.predict import make_predictor

    rows, space = [], "nasbench201"
    for which, device in enumerate(on(space).split.test[: 1 if quick else None]):
        for n in (900,) if quick else (900, 3200):
            # Its samples are of the device itself; those beyond the pool are not asked for.
            places = np.arange(n)
            predictor = make_predictor("brp-nas")
            predictor.fit(on(space).sources())
            asked = on(space).all[on(space).all >= n]
            made = predictor.adapt(
                [on(space).archs[p] for p in places], on(space).latencies(device, places.tolist())
            )
            from hwnas.predict import score

            told = made.predict([on(space).archs[p] for p in asked])
            value = score(told, on(space).table.latencies[device][asked]).spearman
            theirs = OTHERS["BRP-NAS, 900" if n == 900 else "BRP-NAS, 3,200"][which]
            peer: Any = (theirs, "HELP's table 3, trimmed")
            label = f"{space} {device}, BRP-NAS, n = {n}: Spearman, all"
            rows.append(Row(label, value, "", None, "higher", *peer))
    return rows


HELP_GOALS = {
    "nasbench201": (0.921, 0.02),
    "fbnet": (0.911, 0.01),
    "ofa_mobilenetv3": (0.981, 0.01),
}


def published(quick: bool) -> list[Row]:
    """HELP's own evaluation of its published checkpoints, five seeds."""
    from benchmarks._help_published import checkpoint, published_scores

    rows = []
    for space, (goal, slack) in HELP_GOALS.items():
        devices, make = [], checkpoint(on(space), DATA / "help")
        for device in on(space).split.test:
            found = published_scores(make, on(space), device, range(2 if quick else 5))
            devices.append(fmean(found))
            spread = stdev(found) if len(found) > 1 else 0.0
            label = f"HELP as published, {space} {device}: Spearman, trimmed"
            paper = HELP_PAPER.get((space, device))
            peer: Any = (paper, "HELP's paper") if paper else ()
            rows.append(Row(label, fmean(found), f"sd {spread:.3f}", None, "higher", *peer))
        label = f"HELP as published, {space}, mean: Spearman, trimmed"
        rows += between(label, fmean(devices), goal - slack, goal + slack)
    return rows


def validated(make: Callable[[int], HELP], space: str, seeds: Iterable[int]) -> float:
    """HELP's own evaluation on its validation devices, their mean."""
    from benchmarks._help_published import published_scores

    devices = on(space).split.valid
    return fmean(fmean(published_scores(make, on(space), one, seeds)) for one in devices)


def trained(quick: bool) -> list[Row]:
    """HELP meta-trained by this project, against its published weights, on validation devices."""
    from benchmarks._help_published import checkpoint
    from hwnas.predict import HELP, MetaSchedule

    rows: list[Row] = []
    for space in ("fbnet",) if quick else SPACES:
        episodes = {"fbnet": 4000}.get(space, 2000) // (20 if quick else 1)
        split, seeds = on(space).split, range(2 if quick else 5)
        ours = HELP(seed=3, device="cpu", schedule=MetaSchedule(episodes=episodes))
        # The reference archs are measured on each device, also those outside the pool.
        rows_of = sorted({*range(split.pool), *on(space).reference.tolist()})
        sources = on(space).table.only((*split.train, *split.valid)).rows(rows_of)
        took = timed(functools.partial(ours.fit, sources, validation=split.valid))

        theirs = validated(checkpoint(on(space), DATA / "help"), space, seeds)
        label = f"HELP trained for {episodes:,} episodes, {space}"
        rows += [
            Row(
                f"{label}: Spearman, trimmed, validation devices",
                validated(lambda seed, ours=ours: ours, space, seeds),
                "",
                None if quick else theirs - 0.01,
                "higher",
                theirs,
                "published weights",
                True,
            ),
            Row(f"{label}: took", took, "s", None, "lower"),
        ]
    return rows


def times(quick: bool) -> list[Row]:
    """On one core: the prior, once; a design; adapting and predicting."""
    import torch

    from hwnas.predict import make_predictor

    torch.set_num_threads(1)
    rows = []
    for space in SPACES:
        protocol = on(space)
        sources = protocol.sources()
        learnt, design, predict = [], [], []
        for _ in range(1 if quick else 3):
            predictor = make_predictor("metabma")
            learnt.append(timed(functools.partial(predictor.fit, sources)))
            pool = [protocol.archs[place] for place in range(protocol.split.pool)]
            began = time.perf_counter()
            chosen = predictor.suggest(10, pool)
            design.append(time.perf_counter() - began)
            device = protocol.split.test[0]
            places = [next(p for p, a in enumerate(pool) if a is arch) for arch in chosen]
            latencies = protocol.latencies(device, places)
            asked = [protocol.archs[place] for place in protocol.all]
            for _ in range(3):
                began = time.perf_counter()
                predictor.adapt(chosen, latencies).predict(asked)
                predict.append(time.perf_counter() - began)
        rows += [
            Row(f"{space}: learning from 9 devices, once", median(learnt), "s", 10, "lower"),
            Row(f"{space}: design of 10", median(design), "s", 6, "lower"),
            Row(
                f"{space}: adapt and predict {len(asked):,} archs",
                median(predict),
                "s",
                0.2,
                "lower",
            ),
        ]
    return rows


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def searches(quick: bool) -> list[Row]:
    """Networks under a limit on the predicted latency: MetaD2A's candidates, Once-for-All, HAT."""
    from benchmarks._predict_search import hat, metad2a, ofa

    return [*metad2a(quick), *ofa(quick), *hat(quick)]


def real(quick: bool) -> list[Row]:
    """Devices at hand: this host's runtimes and threads."""
    from benchmarks._predict_real import real as measured

    return measured(quick)


PARTS: dict[str, Callable[[bool], list[Row]]] = {
    "ten": ten,
    "five": five,
    "published": published,
    "trained": trained,
    "kinds": kinds,
    "searches": searches,
    "times": times,
    "curves": curves,
    "brp": brp,
    "real": real,
}

if __name__ == "__main__":
    main("predict", PARTS)
