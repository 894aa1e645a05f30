"""What `hwnas search` prints at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from hwnas.report import trials_table

if TYPE_CHECKING:
    from hwnas._search import Result


def print_result(result: Result, console: Console) -> None:
    """The trials, the winner or the nearest miss, and what to do next."""
    view = result.view
    console.print(trials_table(view))
    best = result.best
    accuracy = best.value(view.metric)
    if result.feasible:
        title = Text.assemble(("winner: ", "bold green"), f"trial {best.number}")
    else:
        title = Text.assemble(
            ("nothing keeps the budget; ", "bold red"), f"nearest: trial {best.number}"
        )
    console.print(title.append(f", {view.metric} {accuracy:.4f}, reward {best.reward:.4f}"))
    arch = ", ".join(f"{label}={choice}" for label, choice in best.arch.items())
    console.print(Text(f"  {arch}"), soft_wrap=True)
    for key, violation in best.violations.items():
        verdict = (
            f"{-violation:.1%} below its limit" if violation <= 0 else f"over by {violation:.1%}"
        )
        console.print(Text(f"  {key}: {verdict}"))
    folder = view.folder
    console.print(
        Text(f"next: hwnas show {folder} | hwnas report {folder} | hwnas export {folder} OUT")
    )
