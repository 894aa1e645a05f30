"""`hwnas report`: one HTML file about a job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli._console import say
from hwnas.cli._options import JOB_HELP
from hwnas.errors import UsageError


def report(
    job: Annotated[str, typer.Argument(metavar="JOB", help=JOB_HELP, show_default=False)],
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="The file to write; by default report.html, in the job's folder if any.",
        ),
    ] = None,
) -> None:
    """Write a report that opens in any browser, without a network."""
    from hwnas.jobs import read_job
    from hwnas.report import write_report

    view = read_job(job)
    target = path or (Path() if view.in_store else view.folder) / "report.html"
    if target.is_dir():
        raise UsageError(f"{target} is a folder; name a file, such as {target / 'report.html'}")
    write_report(view, target)
    say(f"wrote {target}")
