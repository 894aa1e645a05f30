"""What `hwnas search` prints at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hwnas._estimate import Estimate
from hwnas.budget import format_number
from hwnas.cli._console import arch_text, command, out, print_wide, say
from hwnas.report import estimate_text, one_line, percent, stages_table, trials_table

if TYPE_CHECKING:
    from hwnas._search import Result
    from hwnas.budget import Budget, Constraint
    from hwnas.jobs import JobView, TrialRecord

_SHOWN = 12
_MANY = 10


def print_result(result: Result, console: Console = out) -> None:
    """The best trials, the winner or the nearest miss, and what to do next.

    Raises:
        JobError: no trial was completed.
    """
    view = result.view
    print_wide(trials_table(view, limit=_SHOWN), console)
    print_stages(view, console)
    best = result.best
    console.print()
    print_best(view, best, console)
    job = view.where
    console.print()
    say("next:", console)
    for words in (("report", job), ("export", job, _beside(view)), ("show", job)):
        say(f"  {command(*words)}", console)


def print_stages(view: JobView, console: Console = out) -> None:
    """The tables of a train job, or of each train job of a search, below titles."""
    if view.parent is not None:
        say(f"\nstage 1 is {one_line(view.parent.job)}", console)
        print_wide(stages_table(view), console)
    for trained in view.train_jobs:
        say(f"\ntrained in full in {one_line(trained.where)}", console)
        print_wide(stages_table(trained), console)


def _beside(view: JobView) -> str:
    """Where the winner's files go: not into the folder of a job."""
    if view.in_store:
        return f"{view.name}-winner"
    folder = view.folder
    if view.parent is not None and folder.parent.name == "train":
        return f"{folder.parents[1]}-train-{folder.name}-winner"
    return f"{folder}-winner"


def print_best(view: JobView, best: TrialRecord, console: Console = out) -> None:
    """The winner, or the nearest miss, with each limit of the budget."""
    title = (
        Text("winner: ", style="bold green")
        if view.winner is not None
        else Text("nothing keeps the budget; the nearest: ", style="bold red")
    )
    title.append(f"trial {best.number}, {one_line(view.metric)} ", style="bold")
    title.append(format_number(best.value(view.metric) or 0.0, 4), style="bold")
    if best.reward is not None:
        title.append(f" (reward {format_number(best.reward, 4)})")
    say(title, console)
    say(f"  {one_line(arch_text(best.arch))}", console)
    if len(view.budget):
        metrics = {name: Estimate(value) for name, value in best.metrics.items()}
        print_wide(limits_table(view.budget, {**metrics, **best.costs}), console)


def limits_table(budget: Budget, costs: dict[str, Estimate]) -> Table:
    """For each constraint: the cost, the limit, and by how much it is kept or broken."""
    table = Table.grid(padding=(0, 2))
    table.add_column(width=0)
    for constraint in budget:
        kept = constraint.violation(costs) <= 0
        cost = costs[constraint.key]
        table.add_row(
            "",
            Text(constraint.key),
            Text(estimate_text(constraint.key, cost, constraint.unit)),
            Text(f"limit {constraint.op} {constraint.written_limit} {constraint.unit}".rstrip()),
            Text.assemble(
                ("kept", "green") if kept else ("broken", "bold red"),
                f", {_margin(constraint, costs)}",
                f" at {100 * constraint.confidence:g} % confidence" if cost.std else "",
            ),
        )
    return table


def _margin(constraint: Constraint, costs: dict[str, Estimate]) -> str:
    """How far the cost is from the limit, in words."""
    excess = constraint.bound(costs) / constraint.limit - 1
    if excess >= _MANY - 1:
        return f"{excess + 1:,.0f} times the limit"
    size = "over 99 %" if excess < -0.99 else percent(abs(excess))
    return f"{size} {'above' if excess > 0 else 'below'} it"
