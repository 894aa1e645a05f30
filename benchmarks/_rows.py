"""The rows of a benchmark: printed as a table, written as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
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


def main(area: str, measure: Callable[[bool], list[Row]]) -> None:
    """The command line of one area: `--quick` for two minutes, `--json FILE` for the figures."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{area}")
    parser.add_argument("--quick", action="store_true", help="at most two minutes on 2 cores")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    rows = measure(options.quick)
    table = Table(title=f"benchmarks.{area}")
    for column in ("figure", "value", "unit", "target", "ok", "peer"):
        table.add_column(column, justify="right" if column in ("value", "target") else "left")
    for row in rows:
        relation = "<=" if row.better == "lower" else ">="
        target = "" if row.target is None else f"{relation} {row.target:g}"
        ok = {None: "", True: "yes", False: "NO"}[row.ok]
        measured = "measured" if row.peer_measured else "quoted"
        peer = "" if row.peer is None else f"{row.peer:g} ({row.peer_name}, {measured})"
        table.add_row(row.figure, f"{row.value:.4g}", row.unit, target, ok, peer)
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps([{**asdict(r), "ok": r.ok} for r in rows], indent=2))
