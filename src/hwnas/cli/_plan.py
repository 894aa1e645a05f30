"""`hwnas plan`: how many devices a search needs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from hwnas.cli._console import print_json, say
from hwnas.cli._options import JsonOption


def plan(
    parallel_trials: Annotated[
        int, typer.Option(metavar="N", help="Trials that train at the same time.")
    ],
    train_minutes: Annotated[float, typer.Option(metavar="MINUTES", help="Of one trial.")],
    evaluate_minutes: Annotated[
        float, typer.Option(metavar="MINUTES", help="To measure one trial on a device.")
    ],
    timeout_minutes: Annotated[
        float, typer.Option(metavar="MINUTES", help="That a trial waits for its measurement.")
    ] = 10.0,
    json: JsonOption = False,
) -> None:
    """Tell how many devices a search needs, so that no trial waits in vain."""
    from hwnas.jobs import sizing

    found = sizing(parallel_trials, train_minutes, evaluate_minutes, timeout_minutes)
    if json:
        print_json({"devices": found.devices, **asdict(found)})
        return
    count = f"{found.devices} device{'' if found.devices == 1 else 's'}"
    say(f"{count}, each with a worker (hwnas worker)")
    say(f"  {found.throughput} to keep up with the training")
    say(
        f"  {found.burst} to measure all {parallel_trials} within {timeout_minutes:g} minutes, "
        f"should they finish at once; the last waits {found.waiting:g} minutes"
    )
