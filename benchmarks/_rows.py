"""The rows of a benchmark: printed as a table, written as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure. `peer_measured` is False where the peer's figure is quoted, not measured here."""

    figure: str
    value: float
    unit: str
    target: float | None
    better: Literal["lower", "higher"]
    peer: float | None = None
    peer_name: str = ""
    peer_measured: bool = False

    @property
    def ok(self) -> bool | None:
        """Whether the target is met; None without a target."""
        if self.target is None:
            return None
        return self.value <= self.target if self.better == "lower" else self.value >= self.target


Part = Callable[[bool], list[Row]]
"""Measures; the argument says whether in the short form."""


def main(area: str, measure: Part | Mapping[str, Part]) -> None:
    """The command line of one area: `--quick` for the short form, `--json FILE` for the figures.

    An area in several parts takes `--only PART`, prints each part as it ends, and adds it to the
    file, so that nothing is lost when a later part fails.
    """
    parts = measure if isinstance(measure, Mapping) else {area: measure}
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{area}")
    parser.add_argument("--quick", action="store_true", help="the short form, of a few minutes")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    if len(parts) > 1:
        parser.add_argument(
            "--only", action="append", choices=parts, help="this part alone; may be repeated"
        )
    options = parser.parse_args()
    rows: list[Row] = []
    failed = []
    for name in getattr(options, "only", None) or parts:
        try:
            found = parts[name](options.quick)
        except Exception:  # noqa: BLE001 - the other parts are measured all the same
            traceback.print_exc()
            failed.append(name)
            continue
        _show(f"benchmarks.{area}" + (f": {name}" if len(parts) > 1 else ""), found)
        rows += found
        if options.json:
            plain = [{**asdict(row), "ok": row.ok} for row in rows]
            # Figures may be numbers of NumPy, which JSON does not know.
            options.json.write_text(json.dumps(plain, indent=2, default=lambda x: x.item()))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _show(title: str, rows: Sequence[Row]) -> None:
    table = Table(title=title)
    for column in ("figure", "value", "unit", "target", "ok", "peer"):
        table.add_column(column, justify="right" if column in ("value", "target") else "left")
    for row in rows:
        relation = "<=" if row.better == "lower" else ">="
        target = "" if row.target is None else f"{relation} {row.target:g}"
        ok = {None: "", True: "yes", False: "NO"}[row.ok]
        measured = "measured" if row.peer_measured else "quoted"
        peer = "" if row.peer is None else f"{row.peer:.4g} ({row.peer_name}, {measured})"
        table.add_row(row.figure, f"{row.value:.4g}", row.unit, target, ok, peer)
    console = Console()
    console.width = max(console.width, 140)  # a log file has no width of its own
    console.print(table)
