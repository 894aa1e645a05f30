"""Whether and how archs that keep a budget are found, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.text import Text

from hwnas._estimate import Estimate
from hwnas.cli._console import arch_text, out, print_wide, say
from hwnas.cli._result import limits_table
from hwnas.errors import CostError
from hwnas.report import one_line, percent

if TYPE_CHECKING:
    from hwnas.budget import Budget
    from hwnas.cli._subject import Subject
    from hwnas.cost import FilteredSet


def nothing_facts(subject: Subject, filtered: FilteredSet) -> dict[str, Any]:
    """That no arch was found, whether that is proven, and the arch that violates least."""
    try:
        proven = filtered.feasible.is_empty()
    except CostError:
        proven = False
    _, arch = filtered.nearest(np.random.default_rng(0))
    (costs,) = subject.costs_of([arch])
    violation = subject.budget.violation(costs)
    return {
        "feasible": False,
        "proven": proven,
        "nearest": {"arch": arch, "costs": costs, "violation": violation},
    }


def print_nothing(facts: dict[str, Any], budget: Budget, console: Console = out) -> None:
    """The same for people."""
    known = "no arch keeps the budget" if facts["proven"] else "no arch was found within the budget"
    nearest = facts["nearest"]
    say(Text(f"{known}; the nearest:", style="bold red"), console)
    say(f"  {one_line(arch_text(nearest['arch']))}", console)
    costs = {name: Estimate(value) for name, value in nearest["costs"].items()}
    print_wide(limits_table(budget, costs), console)


def method_facts(filtered: FilteredSet) -> dict[str, Any]:
    """How the archs that were drawn were found."""
    feasible = filtered.feasible
    return {
        "method": feasible.method,
        "reason": feasible.reason or None,
        "acceptance": feasible.acceptance,
        "asked": [filter_.cost.name for filter_ in filtered.asked],
        "asked_acceptance": filtered.acceptance,
    }


def method_text(facts: dict[str, Any]) -> str:
    """The same for people."""
    if facts["method"] == "markov chain":
        text = (
            f"by a Markov chain that stays within the budget ({facts['reason']}): right in the "
            "long run only, and neighbouring draws resemble each other"
        )
    else:
        text = f"by a dynamic program, {percent(facts['acceptance'])} of whose draws were kept"
    if facts["asked"]:
        share = percent(facts["asked_acceptance"])
        names = one_line(", ".join(facts["asked"]))
        text += f"; {names}, no sum of tables, was asked of each: {share} passed"
    return text
