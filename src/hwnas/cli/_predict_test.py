"""`hwnas predict test`: a predictor on a device whose latencies are known."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli._console import print_json, print_wide, say
from hwnas.cli._options import JsonOption
from hwnas.cli._predict_options import OwnSpaceOption

if TYPE_CHECKING:
    from hwnas.predict import LatencyPredictor, Scores, SourceTable

EPILOG = (
    "Example: hwnas predict test metabma --sources nasbench201.safetensors --device pixel2 -n 10"
)


class ChosenName(str, Enum):
    """The ways that `--choose` knows."""

    random = "random"
    design = "design"
    active = "active"


def trial(
    predictor: Annotated[
        str,
        typer.Argument(
            metavar="PREDICTOR",
            help="A folder of hwnas predict train; prior, for the one that comes with the space; a "
            "published checkpoint of HELP (.pt); or a kind of predictor, which is then fitted on "
            "the other devices of the file.",
            show_default=False,
        ),
    ],
    sources: Annotated[
        Path,
        typer.Option(
            "--sources",
            metavar="FILE",
            help="Latencies of devices, as hwnas predict import and measure write them.",
            show_default=False,
        ),
    ],
    device: Annotated[
        list[str],
        typer.Option(
            "--device",
            metavar="NAME",
            help="The device of the file to adapt to; may be repeated.",
            show_default=False,
        ),
    ],
    n: Annotated[
        int, typer.Option("-n", min=1, metavar="N", help="Measurements to adapt to.")
    ] = 10,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="How often.")] = 8,
    choose: Annotated[
        ChosenName,
        typer.Option(
            metavar="HOW",
            help="What is measured: random; design: what the predictor suggests beforehand; "
            "active: half of it so, and then one by one.",
        ),
    ] = ChosenName.design,
    space: OwnSpaceOption = None,
    json: JsonOption = False,
) -> None:
    """Adapt to a few latencies of a device that is known, and say how well the others are told."""
    from hwnas.predict import held_out, load_sources

    table = load_sources(sources, space)
    rows: dict[str, list[Scores]] = {}
    for name in device:
        table.only([name])
        fitted = _fitted(predictor, table, name)
        rows[name] = [
            held_out(fitted, table, name, n, chosen=choose.value, seed=seed)
            for seed in range(seeds)
        ]
    facts = {name: _means(found) for name, found in rows.items()}
    if json:
        print_json({"n": n, "seeds": seeds, "choose": choose.value, "devices": facts})
    else:
        _print(facts)
        say(f"{n} measurements ({choose.value}), mean and standard deviation of {seeds} seeds")


def _fitted(text: str, table: SourceTable, held: str) -> LatencyPredictor:
    from hwnas.predict import HELP, load_predictor, load_prior, make_predictor

    if Path(text).is_dir():
        return load_predictor(text, table.space)
    if text == "prior":
        return load_prior(str(table.space), table.input_shape)
    if text.endswith(".pt"):
        return HELP.from_checkpoint(text, str(table.space))
    predictor = make_predictor(text)
    predictor.fit(table.only([name for name in table.devices if name != held]))
    return predictor


_NAMES = ("spearman", "median_error", "within_10", "coverage")


def _means(found: list[Scores]) -> dict[str, Any]:
    from statistics import fmean, pstdev

    facts: dict[str, Any] = {"n": found[0].n}
    for name in _NAMES:
        values = [getattr(one, name) for one in found]
        known = [value for value in values if value == value]
        mean = fmean(known) if known else None
        facts[name] = {"mean": mean, "std": pstdev(known) if known else None}
    return facts


def _print(facts: dict[str, dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from hwnas.report import one_line

    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("device")
    for head in ("archs", "Spearman", "median error", "within 10 %", "in the 90 % interval"):
        table.add_column(head, justify="right")
    for name, row in facts.items():
        cells = [f"{row['n']:,}"]
        for key in _NAMES:
            mean, std = row[key]["mean"], row[key]["std"]
            if mean is None:
                cells.append("")
            elif key == "spearman":
                cells.append(f"{mean:.3f} +- {std:.3f}")
            else:
                cells.append(f"{mean:.1%} +- {std:.1%}")
        table.add_row(Text(one_line(name)), *cells)
    print_wide(table)
