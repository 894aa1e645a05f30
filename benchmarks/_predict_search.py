"""Networks under a latency limit: MetaD2A's candidates, Once-for-All, HAT.

Parts of `benchmarks/predict.py`, by the protocol of `benchmarks/_help_protocol.py`. Devices are
known from 10 latencies; those of the finalists are counted beside them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._data import DATA
from benchmarks._rows import Row
from hwnas.predict import (
    DEFAULT,
    OFA_RESOLUTIONS,
    DevicePredictor,
    OfaAccuracy,
    Prediction,
    SourceTable,
    load_descriptor,
    make_predictor,
    read_scored,
    read_sources,
    score,
)
from hwnas.space import SizedSpace
from hwnas.strategy import Candidates, pick_under, search_under
from hwnas.zoo import hat as hat_space
from hwnas.zoo import load_space, read_hat, read_ofa, write_nasbench201

if TYPE_CHECKING:
    from benchmarks._help_protocol import Protocol
    from hwnas.predict import LatencyPredictor
    from hwnas.space import Arch

METHOD = DEFAULT
MEASURED = 10
FINALISTS = 5
_LIMITS = {
    "titan_rtx_256": (18, 21, 25),
    "gold_6226": (8, 11, 14),
    "pixel2": (14, 18, 22),
    "eyeriss": (5, 7, 9),
    "fpga": (4, 5, 6),
}
"""HELP's table 4 (ms)."""

_PICKED = re.compile(r"latency_([\d.]+)ms_accuracy_(\d+\.\d+)")
"""The figures in the names of HELP's published picks."""


def metad2a(quick: bool) -> list[Row]:
    """HELP's table 4: the best of MetaD2A's 500 candidates under 15 limits, CIFAR-100."""
    from benchmarks._help_protocol import designs, protocol

    on = protocol("nasbench201", DATA / "help")
    folder = DATA / "help" / "nasbench201"
    place = {write_nasbench201(arch): row for row, arch in enumerate(on.archs)}
    found = read_scored(folder / "arch_generated_by_metad2a.txt", "nasbench201")
    rows_of = [place[write_nasbench201(arch)] for arch in found.archs]
    predictor = _fitted(on)
    chosen = designs(predictor, on, MEASURED, 2 if quick else 8)
    rows, gaps, spent, broken, theirs_broken = [], [], [], 0, 0
    for device, limits in _LIMITS.items():
        truth = on.table.latencies[device]
        known = [predictor.adapt([on.archs[p] for p in d], truth[d].tolist()) for d in chosen]
        name = "asic-eyeriss" if device == "eyeriss" else device
        published = sorted((folder / "architecture_config" / name).iterdir(), key=_latency_in)
        for limit, file in zip(limits, published, strict=True):
            oracle = max(
                s for s, row in zip(found.scores, rows_of, strict=True) if truth[row] <= limit
            )
            picks = [
                pick_under(
                    found.archs,
                    found.scores,
                    one,
                    limit,
                    measure=lambda arch, truth=truth: truth[place[write_nasbench201(arch)]],
                    finalists=FINALISTS,
                )
                for one in known
            ]
            latencies = [truth[rows_of[one.best.index]] for one in picks]
            broken += sum(latency > limit for latency in latencies)
            gaps += [oracle - one.best.score for one in picks]
            spent += [len(one.measured) for one in picks]
            theirs = truth[place[file.read_text().strip()]]
            theirs_broken += bool(theirs > limit)
            label = f"MetaD2A, {device}, {limit} ms"
            accuracy = fmean(one.best.score for one in picks)
            quoted = float(_figures(file)[1])
            rows += [
                Row(f"{label}: latency, slowest pick of {len(picks)}", max(latencies), "ms", limit,
                    "lower", theirs, "HELP's published pick", True),
                Row(f"{label}: accuracy (oracle {oracle:.2f})", accuracy, "%", None, "higher",
                    quoted, "HELP's pick"),
            ]  # fmt: skip
    total = len(gaps)
    return [
        Row(f"MetaD2A: picks over their limit, of {total}", broken, "", 0, "lower",
            theirs_broken, "HELP's published picks, of 15", True),
        Row("MetaD2A: accuracy below the oracle, mean", fmean(gaps), "points", 0.3, "lower"),
        Row("MetaD2A: finalists measured, mean", fmean(spent), "", FINALISTS, "lower"),
        Row("MetaD2A: measurements of a device, with those of 3 limits",
            MEASURED + 3 * fmean(spent), "", None, "lower"),
        *rows,
    ]  # fmt: skip


def ofa(quick: bool) -> list[Row]:
    """Once-for-All on titan_rtx_64: evolution on published models of accuracy and of latency.

    Nothing can be measured there any more: latencies are those of a reference model of all 5,000
    measured archs, to which the finalists go in place of the device.
    """
    from benchmarks._help_protocol import designs, protocol

    on = protocol("ofa_mobilenetv3", DATA / "help")
    truth = on.table.latencies["titan_rtx_64"]
    reference = _Reference(on.table.only(["titan_rtx_64"]))
    predictor = _fitted(on)
    (chosen,) = designs(predictor, on, MEASURED, 1)
    known = predictor.adapt([on.archs[p] for p in chosen], truth[chosen].tolist())
    accuracy = OfaAccuracy(DATA / "ofa" / "acc_predictor.pth")
    folder = DATA / "help" / "ofa" / "architecture_config"
    files = sorted(folder.glob("*/*.json"))
    archs = [_ofa_arch(file) for file in files]
    scores = accuracy(archs)
    # Their accuracies on ImageNet are published; the predictor's scale is another.
    slope, intercept = np.polyfit(scores, [float(_figures(file)[1]) for file in files], 1)
    theirs = {
        _figures(file)[0]: (reference(arch), one, float(_figures(file)[1]))
        for file, arch, one in zip(files, archs, scores, strict=True)
        if file.parent.name == "gpu_titan_rtx_64"
    }
    candidates = Candidates(SizedSpace(load_space("ofa_mobilenetv3"), OFA_RESOLUTIONS))
    rows = [
        Row("OFA: reference model of 5,000 archs, leave-one-out error", reference.error, "", None,
            "lower"),
    ]  # fmt: skip
    over = 0
    for limit, (latency, own, quoted) in zip((20, 23, 28), theirs.values(), strict=True):
        over += latency > limit
        picks = search_under(
            candidates,
            accuracy,
            known,
            limit,
            measure=reference,
            finalists=FINALISTS,
            generations=60 if quick else 200,
        )
        label = f"OFA, titan_rtx_64, {limit} ms"
        rows += [
            Row(f"{label}: latency by the reference model", picks.best.latency, "ms", limit,
                "lower", latency, "HELP's published pick", True),
            Row(f"{label}: accuracy by the published predictor", picks.best.score, "", own,
                "higher", own, "HELP's published pick", True),
            Row(f"{label}: on ImageNet's scale (by HELP's 7 picks)",
                slope * picks.best.score + intercept, "%", None, "higher", quoted, "HELP"),
            Row(f"{label}: finalists asked of the reference model", len(picks.measured), "",
                FINALISTS, "lower"),
        ]  # fmt: skip
    rows.append(Row("OFA, titan_rtx_64: HELP's published picks over their limit, of 3", over, "",
                    None, "lower"))  # fmt: skip
    for file, one in zip(files, scores, strict=True):
        if file.parent.name != "gpu_titan_rtx_64":
            latency, quoted = _figures(file)
            label = f"OFA, {file.parent.name}, {latency} ms: no data of this device"
            rows.append(Row(f"{label}; accuracy by the published predictor of HELP's pick", one,
                            "", None, "higher", float(quoted), "HELP, ImageNet"))  # fmt: skip
    return rows


def hat(quick: bool) -> list[Row]:
    """HAT's published networks on this machine, and its latency tables across devices.

    BLEU is not reproduced: there are no weights. The tables are of different archs each.
    """

    rows = []
    for file in sorted((DATA / "help" / "hat").glob("*.yml")):
        rows += _hat_network(file, quick)
    return rows + _hat_tables(sorted((DATA / "hat").glob("*_all.csv")), quick)


_LENGTH = 30
"""Tokens of both sentences, as in HAT's tables of FLOPs and latencies."""


def _hat_network(file: Path, quick: bool) -> list[Row]:
    import torch

    from hwnas.cost import static_costs
    from hwnas.device import LocalDevice, Timing

    arch = read_hat(file.read_text())
    torch.manual_seed(0)
    model = hat_space().build(arch).eval()
    tokens = torch.randint(0, 32_768, (2, 1, _LENGTH), generator=torch.Generator().manual_seed(0))
    inputs = tuple(tokens)
    costs = static_costs(model, inputs, ("macs", "params"))
    name = file.stem.replace("wmt14ende_help_", "")
    label = f"HAT, {name}"
    rows = [
        Row(f"{label}: MACs of {_LENGTH} + {_LENGTH} tokens", costs["macs"] / 1e9, "G", None,
            "lower"),
        Row(f"{label}: parameters", costs["params"] / 1e6, "M", None, "lower"),
    ]  # fmt: skip
    timing = Timing() if quick else Timing(time_cap=5.0)
    for runtime in ("torch", "onnxruntime"):
        with LocalDevice(runtime=runtime, timing=timing) as device:
            taken = device.measure([model], inputs)[0]
        rows.append(Row(f"{label}: one forward here, {runtime}, 1 thread", taken.median, "ms",
                        None, "lower"))  # fmt: skip
    return rows


def _hat_tables(files: Sequence[Path], quick: bool) -> list[Row]:
    tables = [read_sources(file, "hat").table for file in files]
    rows = []
    for place, table in enumerate(tables):
        others = [other for number, other in enumerate(tables) if number != place]
        sources = SourceTable.of(
            "hat", {name: pairs for other in others for name, pairs in _pairs(other).items()}
        )
        predictor = make_predictor(METHOD)
        predictor.fit(sources)
        ((name, pairs),) = _pairs(table).items()
        found = []
        for seed in range(2 if quick else 8):
            order = np.random.default_rng(seed).permutation(len(pairs))
            pool = [pairs[row] for row in order[:900]]
            latencies = {id(arch): latency for arch, latency in pool}
            chosen = predictor.suggest(MEASURED, [arch for arch, _ in pool])
            known = predictor.adapt(chosen, [latencies[id(arch)] for arch in chosen])
            rest = [pairs[row] for row in order[900:]]
            found.append(score(known.predict([arch for arch, _ in rest]), [t for _, t in rest]))
        label = f"HAT, {name}, left out of the sources, n = {MEASURED}"
        rows += [
            Row(f"{label}: Spearman", fmean(one.spearman for one in found), "", None, "higher"),
            Row(f"{label}: median error", fmean(one.median_error for one in found), "", None,
                "lower"),
        ]  # fmt: skip
    return rows


def _pairs(table: SourceTable) -> dict[str, list[tuple[Arch, float]]]:
    """(arch, latency) of what each device measured."""
    return {
        name: [
            (arch, float(value))
            for arch, value in zip(table.archs, values, strict=True)
            if not np.isnan(value)
        ]
        for name, values in table.latencies.items()
    }


class _Reference(DevicePredictor):
    """A device that can be asked no more: a regression of all that it measured."""

    def __init__(self, table: SourceTable) -> None:
        from hwnas.predict._source_models import SourceModels

        self._descriptor = load_descriptor("ofa_mobilenetv3")
        self._model = SourceModels.fit(self._descriptor.groups(table.archs), table.latencies)
        self.error = float(self._model.error[0])

    def predict(self, archs: Sequence[Arch]) -> Prediction:
        mean = self._model.predict(self._descriptor.groups(archs))[:, 0]
        return Prediction(mean, self.error * mean)

    def __call__(self, arch: Arch) -> float:
        return float(self.predict([arch]).mean[0])


def _fitted(on: Protocol) -> LatencyPredictor:
    predictor = make_predictor(METHOD)
    predictor.fit(on.sources())
    return predictor


def _ofa_arch(file: Path) -> Arch:
    config = json.loads(file.read_text())
    return {**read_ofa(config), "resolution": config["r"]}


def _figures(file: Path) -> tuple[str, str]:
    """Latency (ms) and accuracy (%) in the name of a published pick."""
    match = _PICKED.search(file.name)
    assert match is not None, file
    return match[1], match[2]


def _latency_in(file: Path) -> float:
    return float(_figures(file)[0])
