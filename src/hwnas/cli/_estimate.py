"""`hwnas estimate`: what tables say of archs."""

from __future__ import annotations

import sys
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
        list[str],
        typer.Option(
            "--table",
            metavar="[NAME=]FILE",
            help="A table that hwnas profile wrote; may be repeated.",
            show_default=False,
        ),
    ],
    task: TaskOption = None,
    input_shape: ShapeOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Show what tables say that archs take, without a device."""
    from hwnas.budget import Budget
    from hwnas.cli._archs import read_archs, write_csv
    from hwnas.cli._cost import print_costs
    from hwnas.cli._subject import Subject, space_and_shape
    from hwnas.cost import load_costs

    if json and csv:
        raise UsageError("--json and --csv cannot be printed together; leave one out")
    if other := [one for one in table if not one.endswith(".npz")]:
        raise UsageError(f"--table {other[0]}: name a file that ends in .npz")
    found, shape = space_and_shape(space, task, input_shape)
    subject = Subject(space, found, shape, load_costs(table, found), Budget(), "")
    rows = subject.with_costs([a for source in arch for a in read_archs(source, space, found)])
    stds = {name: cost.relative_std for name, cost in subject.costs.items()}
    if json:
        entries = [
            {"arch": arch, "costs": costs, "std": {n: costs[n] * stds[n] for n in costs}}
            for arch, costs in rows
        ]
        print_json(entries)
    elif csv:
        write_csv(sys.stdout, found, list(subject.costs), rows)
    else:
        print_costs(subject, rows)
        for name, std in stds.items():
            if std:
                say(Text(f"{name}: +- {std:.2%} (standard deviation)", style="dim"))
