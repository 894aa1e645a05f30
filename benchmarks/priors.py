"""The predictors that come with hwnas, made of HELP's published data.

`python -m benchmarks.priors` writes them to `src/hwnas/predict/priors/`, a folder for each space:
the predictor that the project's own code fitted, and a card with its figures. The devices of HELP's
test split are no sources, so that the figures, which are about these, stay honest. The data are
read from `HWNAS_TEST_DATA`; the same data give the same predictions within 1e-6.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np

from benchmarks._data import DATA
from benchmarks._help_protocol import SPLITS, Protocol, adapted, designs, evaluate, protocol
from hwnas.predict import LatencyPredictor, load_predictor, make_predictor
from hwnas.space import Arch

METHOD = "metabma"
ROOT = Path(__file__).resolve().parents[1]
PRIORS = ROOT / "src" / "hwnas" / "predict" / "priors"
CHECKS = ROOT / "tests" / "predict" / "priors.json"
"""Predictions of the priors for a made-up device: a test sees where code and files part."""

_SAMPLES = 10
_DESIGNS = 8

_TITLES = {"nasbench201": "NAS-Bench-201", "fbnet": "FBNet", "ofa_mobilenetv3": "Once-for-All"}
_UNKNOWN = {
    "nasbench201": "Networks of other widths, depths or inputs than those of the benchmark.",
    "fbnet": "Inputs of other sizes: FBNet at 224 pixels is another set of networks.",
    "ofa_mobilenetv3": "Other kinds of devices: all sources are GPUs of one maker, and so is the "
    "test device, which is among the sources with other batch sizes.",
}
_CARD = """\
# Prior of latencies: {title}

What `hwnas predict adapt {space}` begins with: a `{method}` predictor that has learnt from
{count} devices, and needs about ten measurements of yours.

## Learnt from

{rows:,} archs, measured on {devices}.{coarse}

The latencies were published with HELP (Lee, Lee, Chong and Hwang, "HELP: Hardware-adaptive
Efficient Latency Prediction for NAS via Meta-Learning", NeurIPS 2021) at
<https://github.com/HayeonLee/HELP>, under the MIT licence, Copyright (c) 2024 HayeonLee. No latency
of theirs is in the files here: what is stored was fitted on them by `python -m benchmarks.priors`
of this project, which makes the same files from the same data, and is under the project's licence.

## How good it is

HELP's test devices are no sources. Each of them measured {samples} archs, which the predictor
chose out of random subsets of the first {rows:,}; mean over {designs} such choices. `trimmed` and
`all` are Spearman's rank correlation, on HELP's queries and on all archs that are neither among
these {rows:,} nor HELP's references; the other columns are about the latter: the median relative
error, the share within 10 %, and the share within the interval of 90 %.

| device | trimmed | all | median error | within 10 % | in the 90 % interval |
| --- | --- | --- | --- | --- | --- |
{figures}

## What it does not know

- {unknown}
- Energy, memory, throughput: it is about latency in ms.
- A device whose operators rank otherwise than on all {count} sources. Its deviations are wider
  then, but nothing replaces `hwnas predict adapt --until 5%`.
"""


@dataclass(frozen=True)
class Made:
    """A prior that was written."""

    space: str
    predictor: LatencyPredictor
    protocol: Protocol

    @property
    def devices(self) -> tuple[str, ...]:
        """The sources: HELP's devices for training and for validation."""
        return (*self.protocol.split.train, *self.protocol.split.valid)


def build(space: str, to: Path) -> Made:
    """Fit the prior of a space and write it into the folder `to/space`, without its card."""
    on = protocol(space, DATA / "help")
    predictor = make_predictor(METHOD)
    predictor.fit(on.sources((*on.split.train, *on.split.valid)))
    predictor.save(to / space)
    return Made(space, load_predictor(to / space, space), on)


def write_card(made: Made, to: Path) -> None:
    """Measure the figures of a prior and write its card beside it."""
    split, provenance = made.protocol.split, made.protocol.table.provenance
    steps = [f"`{name}`" for name in made.devices if provenance[name].resolution]
    coarse = f" Those of {', '.join(steps)} are whole milliseconds." if steps else ""
    text = _CARD.format(
        title=_TITLES[made.space],
        space=made.space,
        method=METHOD,
        count=len(made.devices),
        rows=split.pool,
        devices=", ".join(f"`{name}`" for name in made.devices),
        coarse=coarse,
        samples=_SAMPLES,
        designs=_DESIGNS,
        figures="\n".join(_rows(made)),
        unknown=_UNKNOWN[made.space],
    )
    (to / made.space / "card.md").write_text(text, encoding="utf-8")


def _rows(made: Made) -> Iterator[str]:
    on = made.protocol
    chosen = designs(made.predictor, on, _SAMPLES, _DESIGNS)
    for device in on.split.test:
        found = [
            evaluate(adapted(made.predictor, on, device, places), on, device) for places in chosen
        ]
        cells = [
            f"{mean(one['trimmed'].spearman for one in found):.3f}",
            f"{mean(one['all'].spearman for one in found):.3f}",
            f"{mean(one['all'].median_error for one in found):.1%}",
            f"{mean(one['all'].within_10 for one in found):.1%}",
            f"{mean(one['all'].coverage for one in found):.1%}",
        ]
        yield f"| `{device}` | {' | '.join(cells)} |"


def check_of(space: str, predictor: LatencyPredictor) -> dict[str, list[object]]:
    """Archs, latencies of a made-up device, and what the prior predicts of others from these."""
    archs = check_archs(space)
    latencies = [5.0 + 0.1 * (7 * place % 11) for place in range(_SAMPLES)]
    found = predictor.adapt(archs[:_SAMPLES], latencies).predict(archs[_SAMPLES:])
    return {
        "archs": list(archs),
        "latencies": list(latencies),
        "mean": found.mean.tolist(),
        "std": found.std.tolist(),
    }


def check_archs(space: str) -> list[Arch]:
    """Twenty archs of a space; always the same."""
    from hwnas.zoo import load_space

    made, random = load_space(space), np.random.default_rng(0)
    archs = [made.sample(random) for _ in range(2 * _SAMPLES)]
    if space == "ofa_mobilenetv3":
        return [{**arch, "resolution": 128 + 4 * place} for place, arch in enumerate(archs)]
    return archs


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the priors, their cards, and what the test of them compares with."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.priors")
    parser.add_argument("--to", type=Path, help="write the predictors alone, to this folder")
    parser.add_argument("spaces", nargs="*", default=list(SPLITS), metavar="SPACE")
    options = parser.parse_args(arguments)
    checks = json.loads(CHECKS.read_text()) if CHECKS.exists() else {}
    for space in options.spaces:
        made = build(space, options.to or PRIORS)
        size = sum(file.stat().st_size for file in ((options.to or PRIORS) / space).iterdir())
        print(f"{space}: {len(made.devices)} devices, {size / 1024:.0f} KiB", flush=True)
        if options.to is None:
            write_card(made, PRIORS)
            checks[space] = check_of(space, made.predictor)
    if options.to is None:
        CHECKS.write_text(json.dumps(checks, indent=1) + "\n")


if __name__ == "__main__":
    main()
