"""`hwnas show`: the trials of a job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli._console import out, print_json


def show(
    job: Annotated[Path, typer.Argument(help="The job's folder.")],
    everything: Annotated[
        bool, typer.Option("--all", help="Every cost, metric and decision.")
    ] = False,
    rows: Annotated[
        bool, typer.Option("--rows", help="Rows as on a trials page: flops_million, ...")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Show this many trials at most.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a job's trials, best first; works while the search runs."""
    from hwnas.jobs import read_job
    from hwnas.report import rows_table, to_json, trials_table

    view = read_job(job)
    if json:
        print_json(to_json(view))
    elif rows:
        out.print(rows_table(view))
    else:
        out.print(trials_table(view, limit=limit, everything=everything))
