"""`hwnas export`: the winner's files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli._console import NOTHING_FEASIBLE, command, say
from hwnas.cli._options import JOB_HELP


def export(
    job: Annotated[str, typer.Argument(metavar="JOB", help=JOB_HELP, show_default=False)],
    path: Annotated[
        Path, typer.Argument(metavar="OUT", help="The folder to write.", show_default=False)
    ],
    trial: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Another trial than the winner, by its number."),
    ] = None,
) -> None:
    """Write the winner: arch.json, model.onnx, model.safetensors, card.md, card.json.

    Reads the test split, once, for the accuracy on the card.
    """
    from hwnas._search import Result
    from hwnas.cli._result import print_best

    result = Result.open(job)
    best = result.best if trial is None else None
    result.export(path, trial)
    if best is not None:
        print_best(result.view, best)
    names = ", ".join(sorted(file.name for file in path.iterdir()))
    say(f"wrote {path}: {names}")
    say(f"next: {command('measure', path)}")
    if best is not None and not result.feasible:
        raise typer.Exit(NOTHING_FEASIBLE)
