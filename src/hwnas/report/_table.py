"""Tables of trials for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hwnas.budget import format_number
from hwnas.cost import flops_meaning
from hwnas.report._columns import Column, columns, reward_decimals
from hwnas.report._text import clean, duration, fixed, one_line, percent

if TYPE_CHECKING:
    from hwnas.jobs import JobView, TrialRecord

MAX_DECISIONS = 10
"""With more decisions than this, a terminal's table leaves them out."""

_LOG_LINES = 3


def trials_table(
    view: JobView, *, limit: int | None = None, everything: bool = False
) -> RenderableType:
    """The trials of a job, best reward first, then running ones; failed ones with reasons below.

    Shown are the accuracy, the budgeted and optimised numbers and the decisions, if these are not
    too many; `everything` shows all that a trial has.

    Each budgeted cost is green where the trial keeps its limit and red, with the excess, where
    not; the winner has a star. At most `limit` trials are listed (default: all of them).
    Whatever a user or a trial wrote is shown literally, never as markup or terminal codes.
    """
    ranked = [*view.complete, *(trial for trial in view.trials if trial.state == "running")]
    shown = ranked if limit is None else ranked[:limit]
    parts: list[RenderableType] = []
    known = columns(view)
    shown_columns = [c for c in known if everything or _matters(c, view)]
    if shown:
        parts.append(_table(view, shown, shown_columns))
    else:
        parts.append(Text("no trial has ended yet" if not view.failed else "no trial succeeded"))
    if len(shown) < len(ranked):
        parts.append(Text(f"{len(ranked) - len(shown)} more trials are not shown", style="dim"))
    if any(c.name == "flops" for c in shown_columns):
        parts.append(Text(f"flops = {flops_meaning(view.counting)}", style="dim"))
    hidden = [c for c in known if c not in shown_columns and c.kind == "decision"]
    if hidden:
        parts.append(Text(f"{len(hidden)} decisions of each arch are not shown", style="dim"))
    if view.failed:
        parts += [Text(), Text(f"{len(view.failed)} failed", style="bold red")]
        parts += [line for trial in view.failed for line in _failure(trial)]
    return Group(*parts)


def trial_rows(view: JobView) -> list[dict[str, Any]]:
    """The trials as flat rows, best reward first, named as on a trials page of Vertex AI NAS.

    `id`, `state`, `reward`, `step`, `elapsed` (seconds), the decisions, each count as
    `<name>_million`, each latency as `<key>_milliseconds`, other costs and the metrics under
    their names; the metric `accuracy` is called `top_1_accuracy`. Rows of trials that have not
    ended have no reward, and those that failed have the reason in `failure`.
    """
    unfinished = [trial for trial in view.trials if trial.state != "complete"]
    return [_row(trial) for trial in (*view.complete, *unfinished)]


def rows_table(view: JobView) -> Table:
    """`trial_rows` as a table."""
    rows = trial_rows(view)
    names = dict.fromkeys(name for row in rows for name in row if name != "failure")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(heading(name), justify="right")
    for row in rows:
        table.add_row(*(Text(_flat(name, row.get(name))) for name in names))
    return table


def _row(trial: TrialRecord) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": trial.number,
        "state": trial.state,
        "reward": trial.reward,
        "step": trial.step,
        "elapsed": trial.elapsed,
        **trial.arch,
    }
    for key, cost in trial.costs.items():
        metric = key.partition("@")[0]
        if metric in ("flops", "macs", "params"):
            row[f"{key}_million"] = cost.value / 1e6
        else:
            row[f"{key}_milliseconds" if metric == "latency" else key] = cost.value
    for name, value in trial.metrics.items():
        row["top_1_accuracy" if name == "accuracy" else name] = value
    if trial.failure:
        row["failure"] = f"{trial.failure.kind}: {trial.failure.reason}"
    return row


def _flat(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "elapsed":
        return duration(value)
    return format_number(value, 4) if isinstance(value, float) else one_line(value)


def _matters(column: Column, view: JobView) -> bool:
    if column.kind == "decision":
        return len({name for trial in view.trials for name in trial.arch}) <= MAX_DECISIONS
    names = {view.metric, *(c.key for c in view.budget), *(name for name, _ in view.objectives)}
    return column.name in names


def _table(view: JobView, trials: list[TrialRecord], shown: list[Column]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("", width=1)
    for name in ("reward", "step", "elapsed"):
        table.add_column(name, justify="right", no_wrap=True)
    for column in shown:
        table.add_column(
            heading(column.name, column.unit), justify="right", no_wrap=column.kind != "decision"
        )
    decimals = reward_decimals(view)
    for trial in trials:
        table.add_row(
            str(trial.number),
            _icon(view, trial),
            "" if trial.reward is None else fixed(trial.reward, decimals),
            "" if trial.step is None else str(trial.step),
            "" if trial.elapsed is None else duration(trial.elapsed),
            *(cell(column, trial) for column in shown),
            style="bold" if trial.number == view.winner else "",
        )
    return table


def heading(name: str, unit: str = "") -> Text:
    """A column's name, the parts of a long one on lines of their own, and its unit."""
    text = one_line(name)
    for mark, broken in ((".", ".\n"), ("@", "\n@"), ("_", "_\n")):
        text = text.replace(mark, broken) if len(text) > 9 else text
    return Text(f"{text}\n{unit}".rstrip(), overflow="fold")


def _icon(view: JobView, trial: TrialRecord) -> Text:
    if trial.number == view.winner:
        return Text("★", style="yellow")
    if trial.state == "running":
        return Text("…", style="cyan")
    return Text("✓", style="green") if trial.feasible is not False else Text("✗", style="red")


def cell(column: Column, trial: TrialRecord) -> Text:
    """A trial's entry of a column; green where its limit is kept, red where not."""
    text = column.text(trial)
    violation = trial.violations.get(column.name) if column.constraints else None
    if not text or violation is None:
        return Text(text)
    if violation <= 0:
        return Text(text, style="green")
    return Text(f"{text} (+{percent(violation)})", style="red")


def _failure(trial: TrialRecord) -> list[RenderableType]:
    failure = trial.failure
    kind, reason = (failure.kind, failure.reason) if failure else ("error", "no reason recorded")
    head = Text(f"trial {trial.number} ", style="red")
    head.append(f"{one_line(kind)}: {one_line(reason)}", style="default")
    log = clean("\n".join(failure.log if failure else ())).splitlines()[-_LOG_LINES:]
    return [head, *(Text(f"    {line}", style="dim") for line in log)]
