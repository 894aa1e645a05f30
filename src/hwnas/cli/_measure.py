"""`hwnas measure`: an exported network's latency, once more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from hwnas.cli._console import NOTHING_FEASIBLE, out, print_json


def measure(
    path: Annotated[Path, typer.Argument(help="A folder written by hwnas export.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure an exported network again and hold it against its budget."""
    from hwnas.report import remeasure

    facts = remeasure(path)
    if json:
        print_json(facts)
    else:
        for row in facts["constraints"]:
            mark = ("kept", "green") if row["kept"] else ("broken", "bold red")
            low, high = row["interval"]
            interval = f"{row['value']:.4g} (95 %: {low:.4g} to {high:.4g})"
            out.print(Text.assemble(mark, f"  {row['constraint']}: measured {interval}"))
    if not facts["feasible"]:
        raise typer.Exit(NOTHING_FEASIBLE)
