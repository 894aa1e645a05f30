"""Kill -9 of everything at random moments: every job completes, and nothing counts twice."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table
from running import VICTIMS, Outcome, Run

from servers import PostgreSQL, SeaweedFS

RUNS = int(os.environ.get("CHAOS_RUNS", "5"))
FIRST = int(os.environ.get("CHAOS_FIRST", "0"))


@pytest.fixture
def servers() -> Iterator[tuple[SeaweedFS, PostgreSQL]]:
    with tempfile.TemporaryDirectory(prefix="hwnas-chaos-") as folder:
        for name in ("store", "database"):
            Path(folder, name).mkdir()
        Path(folder).chmod(0o755)  # the database runs as another user
        database = PostgreSQL(Path(folder, "database"))
        try:
            store = SeaweedFS(Path(folder, "store"))
            try:
                yield store, database
            finally:
                store.kill()
        finally:
            database.kill()


@pytest.mark.timeout(max(600, 180 * RUNS))
def test_jobs_survive(
    servers: tuple[SeaweedFS, PostgreSQL], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make chaos` makes 50 runs; five meet every victim."""
    for name, value in servers[0].environment.items():
        monkeypatch.setenv(name, value)
    outcomes = []
    for number in range(FIRST, FIRST + RUNS):
        folder = tmp_path / str(number)
        folder.mkdir()
        outcomes.append(Run(number, folder, *servers).go())
        print(outcomes[-1], flush=True)
    Console(width=120).print(table(outcomes))
    assert all(outcome.good for outcome in outcomes), [o for o in outcomes if not o.good]
    if len(outcomes) >= len(VICTIMS):
        assert all(any(o.kills[victim] for o in outcomes) for victim in VICTIMS)


def table(outcomes: list[Outcome]) -> Table:
    """Runs by who was killed in them; a run stands in the row of each of its victims."""
    shown = Table(title=f"{len(outcomes)} jobs of 20 trials with 3 workers")
    for column in ("killed", "kills", "runs", "completed", "lost", "duplicated", "orphans", "time"):
        shown.add_column(column, justify="left" if column == "killed" else "right")
    rows = {victim: [o for o in outcomes if o.kills[victim]] for victim in VICTIMS}
    for name, runs in {**rows, "all": outcomes}.items():
        kills = sum(o.kills.total() if name == "all" else o.kills[name] for o in runs)
        seconds = sum(o.seconds for o in runs) / max(1, len(runs))
        shown.add_row(
            name,
            str(kills),
            str(len(runs)),
            str(sum(o.completed for o in runs)),
            str(sum(o.lost for o in runs)),
            str(sum(o.duplicated for o in runs)),
            str(sum(o.orphans for o in runs)),
            f"{seconds:.0f} s",
        )
    return shown
