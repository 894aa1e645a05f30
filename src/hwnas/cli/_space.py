"""`hwnas space`: what a space holds."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from hwnas.cli._console import NOTHING_FEASIBLE, arch_text, count_text, out, print_json, say
from hwnas.cli._counting import chosen_counting
from hwnas.cli._options import (
    DRAWN,
    BiasOption,
    BudgetOption,
    CostOption,
    CountingOption,
    DistributionName,
    DistributionOption,
    JsonOption,
    SeedOption,
    ShapeOption,
    SpaceArgument,
    TaskOption,
)

_LOGIC = {" & ": " and ", " | ": " or "}
_TITLES = {"0.05": "5 %", "0.5": "median", "0.95": "95 %"}


def space(
    space: SpaceArgument,
    budget: BudgetOption = "",
    cost: CostOption = None,
    task: TaskOption = None,
    input_shape: ShapeOption = None,
    counting: CountingOption = None,
    count_bias: BiasOption = False,
    k: Annotated[
        int | None,
        typer.Option(
            "--k",
            min=1,
            metavar="N",
            help="List the N archs with the lowest and the highest cost; 3 with --by.",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COST",
            help="The cost to list archs by; by default the first in the budget.",
        ),
    ] = None,
    distribution: DistributionOption = DistributionName.decisions,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Show a space's size, decisions and costs, and how much of it keeps a budget."""
    from hwnas.cli._space_facts import Wanted, space_facts
    from hwnas.cli._subject import load_subject

    subject = load_subject(
        space,
        task=task,
        input_shape=input_shape,
        counting=chosen_counting(counting, count_bias),
        costs=cost,
        budget=budget,
        metrics=[by] if by is not None else [],
    )
    listed = (3 if by is not None else 0) if k is None else k
    facts = space_facts(subject, Wanted(distribution.value, seed, listed, by))
    if json:
        print_json(facts)
    else:
        _print(facts)
        if facts["budget"]:
            _print_budget(facts, subject.budget)
        if facts["ranking"]:
            _print_ranking(facts["ranking"])
    if facts["budget"] and not facts["budget"]["feasible"]:
        raise typer.Exit(NOTHING_FEASIBLE)


def _print(facts: dict[str, Any]) -> None:
    from hwnas.report import one_line

    decisions = len(facts["decisions"])
    say(
        Text.assemble(
            (facts["space"], "bold"),
            f": {count_text(facts['size'], 'arch')}, {count_text(decisions, 'decision')}",
        )
    )
    out.print()
    table = _table("decision", "choices", "taken when")
    for row in facts["decisions"]:
        cells = (row["label"], ", ".join(map(str, row["choices"])), _condition(row["condition"]))
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    out.print(table)
    out.print()
    say(f"a random arch: {one_line(arch_text(facts['sample']))}")
    out.print()
    rows = {
        name: [cost["min"], *cost["quantiles"].values(), cost["max"]]
        for name, cost in facts["costs"].items()
    }
    out.print(_costs_table(["cost", "smallest", *_TITLES.values(), "largest"], rows))
    for note in _notes(facts):
        say(Text(note, style="dim"))


def _costs_table(titles: list[str], rows: dict[str, list[float]]) -> Table:
    from hwnas.budget import format_value, unit_for
    from hwnas.report import one_line

    table = _table(*titles, right=tuple(range(1, len(titles))))
    for name, values in rows.items():
        unit = unit_for(name, values)
        shown = [format_value(name, value, unit, signs=4) for value in values]
        table.add_row(one_line(name), *shown)
    return table


def _notes(facts: dict[str, Any]) -> list[str]:
    """What the figures of the costs rest on."""
    draws: dict[int, list[str]] = {}
    for name, cost in facts["costs"].items():
        draws.setdefault(cost["draws"], []).append(name)
    parts = [
        f"{n:,} random archs" + (f" for {', '.join(names)}" if len(draws) > 1 else "")
        for n, names in draws.items()
    ]
    rough = [name for name, cost in facts["costs"].items() if not cost["exact"]]
    ends = (
        "smallest and largest are exact"
        if not rough
        else (f"smallest and largest of {', '.join(rough)} are those of the random archs")
    )
    notes = [f"quantiles: {'; '.join(parts)} ({DRAWN[facts['distribution']]}); {ends}"]
    if "flops" in facts["costs"]:
        notes.append(f"flops: {facts['flops']}")
    elif facts["input_shape"] is None:
        notes.append("macs and flops depend on the input: give --task or --input-shape")
    return notes


def _print_budget(facts: dict[str, Any], budget: Any) -> None:
    from hwnas.cli._feasibility import method_text, print_nothing
    from hwnas.report import percent

    found = facts["budget"]
    out.print()
    say(Text.assemble(("budget: ", "bold"), found["text"]))
    if not found["feasible"]:
        print_nothing(found, budget)
        return
    share = f"{percent(found['share'])} of random archs ({DRAWN[facts['distribution']]})"
    if found["count"]:
        say(f"kept by {_count(found['count'], facts['size'])}, and by {share}")
    else:
        say(f"kept by {share}; how many archs that are is not known")
    say(Text(f"drawn {method_text(found)}", style="dim"))
    out.print()
    rows = {name: list(cost["quantiles"].values()) for name, cost in found["costs"].items()}
    out.print(_costs_table(["within the budget", *_TITLES.values()], rows))


def _count(count: dict[str, int], size: int) -> str:
    from hwnas.report import percent

    lower, upper = count["lower"], count["upper"]
    low, high = percent(lower / size), percent(upper / size)
    if lower == upper:
        return f"{count_text(lower)} of {count_text(size, 'arch')} ({low})"
    shares = low if low == high else f"{low} to {high}"
    return f"{count_text(lower)} to {count_text(upper)} of {count_text(size, 'arch')} ({shares})"


def _print_ranking(ranking: dict[str, Any]) -> None:
    """The archs of each end, by what they differ in; what they share is said once."""
    from hwnas.budget import format_value, unit_for
    from hwnas.report import one_line

    for end in ("lowest", "highest"):
        rows = ranking[end]["archs"]
        shared = set.intersection(*(set(row["arch"].items()) for row in rows))
        out.print()
        table = _table(f"{end} {one_line(ranking['by'])}", "arch", right=(0,))
        table.columns[0].no_wrap = True
        unit = unit_for(ranking["by"], [row["cost"] for row in rows])
        for row in rows:
            own = {k: v for k, v in row["arch"].items() if len(rows) == 1 or (k, v) not in shared}
            value = format_value(ranking["by"], row["cost"], unit, signs=5)
            table.add_row(value, Text(one_line(arch_text(own))))
        out.print(table)
        if len(rows) > 1 and shared:
            alike = {k: v for k, v in rows[0]["arch"].items() if (k, v) in shared}
            say(Text(f"all of them: {one_line(arch_text(alike))}", style="dim"))
        if not ranking[end]["exact"]:
            say(Text(f"of random archs only: {ranking[end]['reason']}", style="dim"))


def _table(*titles: str, right: tuple[int, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for place, title in enumerate(titles):
        table.add_column(title, justify="right" if place in right else "left", overflow="fold")
    return table


def _condition(formula: str | None) -> str:
    """A condition as people read it; strings in it stay as they are."""
    if formula is None:
        return "always"
    text = re.sub(r'"(?:[^"\\]|\\.)*"| [&|] ', lambda m: _LOGIC.get(m[0], m[0]), formula)
    return text[1:-1] if _is_enclosed(text) else text


def _is_enclosed(text: str) -> bool:
    """Whether the first parenthesis is closed by the last character."""
    depth = 0
    for place, mark in enumerate(text):
        depth += {"(": 1, ")": -1}.get(mark, 0)
        if depth == 0:
            return place == len(text) - 1 and mark == ")"
    return False
