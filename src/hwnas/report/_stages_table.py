"""Stage 1 against stage 2, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hwnas.report._columns import columns, reward_decimals
from hwnas.report._stages import ENOUGH, Correlation, both_stages, compare_stages
from hwnas.report._table import cell, heading
from hwnas.report._text import fixed, one_line

if TYPE_CHECKING:
    from hwnas.jobs import JobView, TrialRecord


def stages_table(view: JobView) -> RenderableType:
    """Each trial of a train job beside the search's trial that it trains in full, best first, and
    how well the ranks of both stages agree. `view` is a train job's."""
    stages = compare_stages(view)
    assert stages is not None
    both = both_stages(view)
    known = {column.name: column for column in columns(both) if column.kind != "decision"}
    decimals = reward_decimals(both)

    def value(name: str, trial: TrialRecord | None) -> Text:
        if trial is None or trial.reward is None:
            return Text()
        return Text(fixed(trial.reward, decimals)) if name == "reward" else cell(known[name], trial)

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for text in ("search's\ntrial", "trial"):
        table.add_column(text, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    shown = [name for name in stages.names if name == "reward" or name in known]
    for name in shown:
        unit = known[name].unit if name in known else ""
        for stage in (1, 2):
            title = f"{heading(name).plain}\nstage {stage}\n{unit}".rstrip()
            table.add_column(title, justify="right", no_wrap=True)
    for one, two in stages.pairs:
        best = two is not None and two.number == view.winner
        table.add_row(
            str(one.number),
            str(two.number) if two else "",
            "★" if best else _state(view, two),
            *(value(name, trial) for name in shown for trial in (one, two)),
            style="bold" if best else "",
        )
    return Group(table, Text(), _correlations(stages.correlations))


def _state(view: JobView, trial: TrialRecord | None) -> str:
    if trial is None:
        return "waiting"
    if trial.state == "running":
        return "running" if view.active else "cut off"
    return "failed" if trial.state == "failed" else ""


def _correlations(correlations: Sequence[Correlation]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row("rank correlation of the stages")
    for one in correlations:
        table.add_row(f"  {one_line(one.name)}", correlation_text(one))
    return table


def correlation_text(correlation: Correlation) -> str:
    """A rank correlation in words, with the number of trials."""
    trials = f"{correlation.n} trial{'' if correlation.n == 1 else 's'}"
    if correlation.n < ENOUGH:
        return f"not enough: {trials}, and it takes {ENOUGH}"
    if correlation.spearman is None or correlation.kendall is None:
        return f"none: all {trials} are equal in a stage"
    return f"Spearman {correlation.spearman:.2f}, Kendall {correlation.kendall:.2f} ({trials})"
