"""`hwnas show`: the trials of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli._console import command, count_text, print_json, print_wide, say
from hwnas.cli._options import JOB_HELP

if TYPE_CHECKING:
    from hwnas.jobs import JobView


def show(
    job: Annotated[str, typer.Argument(metavar="JOB", help=JOB_HELP, show_default=False)],
    everything: Annotated[
        bool, typer.Option("--all", metavar="", help="Every cost, metric and decision.")
    ] = False,
    rows: Annotated[
        bool,
        typer.Option(
            "--rows", metavar="", help="Flat rows as on a trials page: flops_million, ..."
        ),
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Show this many trials at most.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")] = False,
) -> None:
    """Show a job's trials, best first; works while the search runs."""
    from hwnas.cli._result import print_stages
    from hwnas.jobs import read_job
    from hwnas.report import one_line, rows_table, to_json, trials_table

    view = read_job(job)
    if json:
        print_json(to_json(view))
    elif rows:
        print_wide(rows_table(view))
    else:
        say(_summary(view))
        ended = sum(trial.state != "running" for trial in view.trials)
        if not view.active and ended < min(view.trials_asked, view.size):
            verb = "search" if view.parent is None else "train"
            say(f"not running; go on with: {command(verb, '--resume', '--job', job)}")
        for warning in view.warnings:
            say(one_line(warning))
        print_wide(trials_table(view, limit=limit, everything=everything))
        print_stages(view)


def _summary(view: JobView) -> str:
    """What the job is and how far it has come."""
    running = sum(trial.state == "running" for trial in view.trials)
    feasible = sum(bool(trial.feasible) for trial in view.trials)
    counts = [
        f"{len(view.trials) - running} of {count_text(view.trials_asked, 'trial')} ended",
        f"{running} {'running' if view.active else 'cut off'}" if running else "",
        f"{feasible} within budget" if len(view.budget) else "",
        f"{len(view.failed)} failed" if view.failed else "",
    ]
    state: str = view.state or "running"
    if not view.active and state in ("running", "stopping"):
        state = "cut off"
    space = f"{view.space} ({count_text(view.size, 'arch')})"
    budget = f"budget: {view.budget}" if len(view.budget) else "no budget"
    return f"{state}: {space}, {budget}; {', '.join(filter(None, counts))}"
