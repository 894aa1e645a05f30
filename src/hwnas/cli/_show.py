"""`hwnas show`: the trials of a job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli._console import out, print_json


def show(
    job: Annotated[Path, typer.Argument(help="The job's folder.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a job's trials, best first; works while the search runs."""
    from hwnas.jobs import read_job
    from hwnas.report import to_json, trials_table

    view = read_job(job)
    if json:
        print_json(to_json(view))
    else:
        out.print(trials_table(view))
