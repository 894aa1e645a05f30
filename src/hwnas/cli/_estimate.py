"""`hwnas estimate`: what tables and predictors say of archs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from hwnas.cli._console import print_json, say
from hwnas.cli._options import (
    ArchOption,
    CsvOption,
    JsonOption,
    ShapeOption,
    SpaceArgument,
    TaskOption,
)
from hwnas.errors import UsageError


def estimate(
    space: SpaceArgument,
    arch: ArchOption,
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            metavar="[NAME=]FILE",
            help="A table that hwnas profile wrote; may be repeated.",
            show_default=False,
        ),
    ] = None,
    predictor: Annotated[
        list[str] | None,
        typer.Option(
            "--predictor",
            metavar="[NAME=]FOLDER",
            help="What hwnas predict adapt wrote; may be repeated.",
            show_default=False,
        ),
    ] = None,
    task: TaskOption = None,
    input_shape: ShapeOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Show what tables and predictors say that archs take, without a device."""
    from hwnas.budget import Budget
    from hwnas.cli._archs import read_archs, write_csv
    from hwnas.cli._cost import print_costs
    from hwnas.cli._subject import Subject, space_and_shape
    from hwnas.cost import load_costs

    tables, predictors = table or [], predictor or []
    if not (tables or predictors):
        raise UsageError("name what to ask: --table FILE or --predictor FOLDER")
    if json and csv:
        raise UsageError("--json and --csv cannot be printed together; leave one out")
    if other := [one for one in tables if not one.endswith(".npz")]:
        raise UsageError(f"--table {other[0]}: name a file that ends in .npz")
    if other := [one for one in predictors if not Path(one.rpartition("=")[2]).is_dir()]:
        raise UsageError(f"--predictor {other[0]}: there is no such folder")
    found, shape = space_and_shape(space, task, input_shape)
    inputs = (1, *shape) if shape else ()
    costs = load_costs([*tables, *predictors], found, inputs)
    subject = Subject(space, found, shape, costs, Budget(), "")
    rows = subject.with_costs([a for source in arch for a in read_archs(source, space, found)])
    encoded = found.encode([one for one, _ in rows])
    stds = {name: cost.estimates(encoded)[1].tolist() for name, cost in costs.items()}
    if json:
        entries = [
            {"arch": one, "costs": told, "std": {name: stds[name][row] for name in told}}
            for row, (one, told) in enumerate(rows)
        ]
        print_json(entries)
    elif csv:
        write_csv(sys.stdout, found, list(costs), rows)
    else:
        print_costs(subject, rows)
        for name, each in stds.items():
            relative = [std / told[name] for std, (_, told) in zip(each, rows, strict=True)]
            if any(relative):
                low, high = min(relative), max(relative)
                span = f"{low:.2%}" if f"{low:.2%}" == f"{high:.2%}" else f"{low:.2%} to {high:.2%}"
                say(Text(f"{name}: +- {span} (standard deviation)", style="dim"))
