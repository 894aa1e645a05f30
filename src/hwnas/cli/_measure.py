"""`hwnas measure`: an exported network's latency, once more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from hwnas.cli._console import NOTHING_FEASIBLE, print_json, print_wide, say


def measure(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="A folder written by hwnas export.", show_default=False
        ),
    ],
    json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")] = False,
) -> None:
    """Measure an exported network again and hold it against its budget."""
    from hwnas.report import remeasure

    facts = remeasure(path)
    if json:
        print_json(facts)
    elif facts["constraints"]:
        print_wide(_table(facts["constraints"]))
    else:
        say(f"{path} was searched without a budget: there is nothing to hold it against")
    if not facts["feasible"]:
        raise typer.Exit(NOTHING_FEASIBLE)


def _table(rows: list[dict[str, Any]]) -> Table:
    from hwnas.budget import format_value
    from hwnas.report import interval_text

    table = Table.grid(padding=(0, 2))
    for row in rows:
        key, unit = row["key"], row["unit"]
        low, high = row["interval"]
        interval = f"(95 %: {interval_text(key, low, high, unit)})" if low < high else ""
        table.add_row(
            Text("kept", style="green") if row["kept"] else Text("broken", style="bold red"),
            Text(row["constraint"]),
            Text("measured" if row["measured"] else "computed"),
            Text(format_value(key, row["value"], unit)),
            Text(interval, style="dim"),
        )
    return table
