"""Arguments and options that several commands have."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from hwnas.cli._counting import BIAS_HELP, COUNTING_HELP, CountingName


class DistributionName(str, Enum):
    """The distributions that `--distribution` knows."""

    decisions = "decisions"
    archs = "archs"


DRAWN = {"decisions": "each decision uniform", "archs": "each arch as likely as any other"}
"""The distributions in words."""

JOB_HELP = "The job: its folder, or the URL of a store: s3://bucket/path, gs://, az://, file://."

SpaceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SPACE",
        help="A space of the zoo, or module:name or file.py:name of your own.",
        show_default=False,
    ),
]
TaskOption = Annotated[
    str | None,
    typer.Option("--task", metavar="TASK", help="The data, which fixes input shape and classes."),
]
ShapeOption = Annotated[
    str | None,
    typer.Option(
        "--input-shape",
        metavar="C,H,W",
        help="The shape of one input, such as 3,32,32, where no task tells it.",
    ),
]
BudgetOption = Annotated[
    str,
    typer.Option(
        "--budget",
        metavar="LIMITS",
        help="Such as 'macs <= 300 M, params <= 3 M'; by default there is none.",
        show_default=False,
    ),
]
COST_HELP = (
    "A cost of your own: module:name or file.py:name of a function of an arch or of a factory, a "
    "table.npz, the folder of an adapted predictor, or an installed one; may be repeated."
)
CostOption = Annotated[
    list[str] | None, typer.Option("--cost", metavar="[NAME=]COST", help=COST_HELP)
]
DEVICE_HELP = (
    "What to measure on: NAME, or NAME=RUNTIME?threads=2&batch_size=1&precision=fp32 (runtimes: "
    "onnxruntime, openvino, executorch, torch, torch-compile)"
)
ARCH_HELP = (
    "JSON, a file (.json, .jsonl or .csv with one or many archs), - for standard input, or the "
    "notation that was published with a space of the zoo; may be repeated."
)
ArchOption = Annotated[
    list[str],
    typer.Option("--arch", metavar="ARCH", help=ARCH_HELP, show_default=False),
]
CountingOption = Annotated[
    CountingName | None,
    typer.Option("--counting", metavar="NAME", help=COUNTING_HELP, show_default=False),
]
BiasOption = Annotated[bool, typer.Option("--count-bias", metavar="", help=BIAS_HELP)]
DistributionOption = Annotated[
    DistributionName,
    typer.Option(
        "--distribution",
        metavar="NAME",
        help="; ".join(f"{name}: {text}" for name, text in DRAWN.items()) + ".",
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, metavar="N", help="Seed of the random archs.")
]
JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")]
CsvOption = Annotated[bool, typer.Option("--csv", metavar="", help="Print CSV.")]
