"""`hwnas report`: one HTML file about a job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli._console import say
from hwnas.errors import UsageError


def report(
    job: Annotated[
        Path, typer.Argument(metavar="JOB", help="The job's folder.", show_default=False)
    ],
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="The file to write; by default report.html in the job's folder."
        ),
    ] = None,
) -> None:
    """Write a report that opens in any browser, without a network."""
    from hwnas.jobs import read_job
    from hwnas.report import write_report

    target = path or job / "report.html"
    if target.is_dir():
        raise UsageError(f"{target} is a folder; name a file, such as {target / 'report.html'}")
    write_report(read_job(job), target)
    say(f"wrote {target}")
