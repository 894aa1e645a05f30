"""Running a job from a command: what is seen meanwhile, and what is printed at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from hwnas.cli._console import INTERRUPTED, NOTHING_FEASIBLE, err, print_json, say
from hwnas.cli._progress import Progress
from hwnas.errors import StoreError

if TYPE_CHECKING:
    from hwnas._search import Result


def run_job(run: Callable[[Progress], Result], job: str, again: str, *, json: bool) -> None:
    """Run it, print the result, and exit with 3 where nothing keeps the budget.

    Args:
        run: runs the job to its end.
        job: its folder or URL.
        again: the command that goes on with it.
        json: print JSON, and nothing else.
    """
    from hwnas.cli._result import print_result
    from hwnas.report import to_json

    try:
        with Progress(quiet=json) as progress:
            result = run(progress)
    except KeyboardInterrupt:
        nothing = " before it began; nothing was written"
        say(f"interrupted{_to_go_on(job, again) or nothing}", err)
        raise typer.Exit(INTERRUPTED) from None
    except StoreError as error:
        raise StoreError(f"{error}{_to_go_on(job, again)}") from error
    if json:
        print_json(to_json(result.view))
    else:
        print_result(result)
    # Where no trial was completed, `best` says so.
    if not result.best.feasible:
        raise typer.Exit(NOTHING_FEASIBLE)


def _to_go_on(job: str, again: str) -> str:
    """How to go on with what was begun; nothing where nothing was."""
    from hwnas.jobs import Job

    try:
        begun = Job.exists(job)
    except StoreError:  # what went wrong may be just that
        begun = True
    return f"; what is done is kept, go on with: {again}" if begun else ""
