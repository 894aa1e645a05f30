"""`hwnas plan`: how many devices a search needs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli._console import count_text, print_json, say
from hwnas.cli._options import JsonOption
from hwnas.errors import JobError, UsageError

if TYPE_CHECKING:
    from hwnas.jobs import Sizing


def plan(
    parallel_trials: Annotated[
        int | None, typer.Option(metavar="N", help="Trials that train at the same time.")
    ] = None,
    train_minutes: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="Of one trial.")
    ] = None,
    evaluate_minutes: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="To measure one trial on a device.")
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(
            metavar="JOB", help="Take the times from this job instead, for each of its devices."
        ),
    ] = None,
    timeout_minutes: Annotated[
        float, typer.Option(metavar="MINUTES", help="That a trial waits for its measurement.")
    ] = 10.0,
    json: JsonOption = False,
) -> None:
    """Tell how many devices a search needs, so that no trial waits in vain."""
    from hwnas.jobs import sizing

    if job is not None:
        if train_minutes is not None or evaluate_minutes is not None:
            raise UsageError("--job tells the minutes of training and measuring; leave them out")
        found = _of_job(job, parallel_trials, timeout_minutes)
        if json:
            print_json({name: _values(one) for name, one in found.items()})
            return
        for name, one in found.items():
            _tell(one, timeout_minutes, f"{name}: ")
        return
    if parallel_trials is None or train_minutes is None or evaluate_minutes is None:
        raise UsageError(
            "give --parallel-trials, --train-minutes and --evaluate-minutes, or a job: --job JOB"
        )
    one = sizing(parallel_trials, train_minutes, evaluate_minutes, timeout_minutes)
    if json:
        print_json(_values(one))
    else:
        _tell(one, timeout_minutes)


def _of_job(place: str, parallel: int | None, timeout: float) -> dict[str, Sizing]:
    from hwnas.jobs import read_pace

    pace = read_pace(place)
    if parallel is not None:
        pace.parallel = parallel
    found = {name: pace.sizing(name, timeout) for name in pace.measured}
    known = {name: one for name, one in found.items() if one is not None}
    if not known:
        raise JobError(f"{place} has too few trials that workers measured to tell")
    return known


def _values(one: Sizing) -> dict[str, object]:
    return {"devices": one.devices, **asdict(one)}


def _tell(one: Sizing, timeout: float, name: str = "") -> None:
    say(f"{name}{count_text(one.devices, 'device')}, each with a worker (hwnas worker)")
    say(f"  {one.throughput} to keep up with the training")
    say(
        f"  {one.burst} to measure all {one.parallel} within {timeout:g} minutes, "
        f"should they finish at once; the last waits {one.waiting:.3g} minutes"
    )
