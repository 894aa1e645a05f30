"""`hwnas export`: the winner's files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli._console import NOTHING_FEASIBLE, out


def export(
    job: Annotated[Path, typer.Argument(help="The job's folder.")],
    path: Annotated[Path, typer.Argument(help="The folder to write.")],
    trial: Annotated[
        int | None,
        typer.Option(help="Another trial than the winner."),
    ] = None,
) -> None:
    """Write the winner: arch.json, model.onnx, model.safetensors, card.md.

    Reads the test split, once, for the accuracy on the card.
    """
    from hwnas._search import Result

    result = Result.open(job)
    result.export(path, trial)
    out.print((path / "card.md").read_text(), markup=False, soft_wrap=True)
    if trial is None and not result.feasible:
        raise typer.Exit(NOTHING_FEASIBLE)
