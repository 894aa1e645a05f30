"""`hwnas report`: one HTML file about a job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli._console import out


def report(
    job: Annotated[Path, typer.Argument(help="The job's folder.")],
    path: Annotated[
        Path | None,
        typer.Argument(help="The file to write; by default report.html in the job's folder."),
    ] = None,
) -> None:
    """Write a report that opens in any browser, without a network."""
    from hwnas.jobs import read_job
    from hwnas.report import write_report

    target = path or job / "report.html"
    write_report(read_job(job), target)
    out.print(str(target), markup=False, soft_wrap=True)
