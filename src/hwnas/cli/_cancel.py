"""`hwnas cancel`: ask a search to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from hwnas.cli._console import command, say
from hwnas.cli._options import JOB_HELP


def cancel(
    job: Annotated[str, typer.Argument(metavar="JOB", help=JOB_HELP, show_default=False)],
) -> None:
    """Ask a running search to stop, from any machine that sees its job.

    It starts no trial any more, asks those that run to end with what they have, and chooses the
    winner among those that ended.
    """
    from hwnas.jobs import Job

    if Job.open(job).cancel():
        say(f"asked {job} to stop; see how it does with: {command('show', job)}")
    else:
        say(f"{job} is cancelled; go on with: {command('search', '--resume', '--job', job)}")
