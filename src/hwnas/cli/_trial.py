"""`hwnas trial`: trains one trial of a search that runs elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli._console import ERROR, say
from hwnas.cli._options import JOB_HELP
from hwnas.errors import UsageError


def trial(
    job: Annotated[
        str,
        typer.Option(metavar="JOB", help=JOB_HELP, show_default=False),
    ],
    trial: Annotated[
        int, typer.Option(min=0, metavar="N", help="The trial's number.", show_default=False)
    ],
    attempt: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Which attempt at it; by default the last one asked for."
        ),
    ] = None,
    cwd: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Go to this folder first: where the space, the trainer and the data are.",
        ),
    ] = None,
) -> None:
    """Train one trial that a search asked for, and end.

    What `hwnas search --executor command:...` runs, wherever it may be. The answer goes into the
    job's store.
    """
    from hwnas.jobs import Job, train_attempt

    here = Job.open(Job.open(job).address)
    if cwd is not None:
        if not cwd.is_dir():
            raise UsageError(f"there is no folder {cwd} (--cwd)")
        os.chdir(cwd)
    outcome = train_attempt(here, trial, attempt)
    why = f": {outcome.reason}" if outcome.reason else ""
    say(f"trial {trial} is {outcome.status}{why}")
    if outcome.status != "done":
        raise typer.Exit(ERROR)
