"""`hwnas space`: what a space holds."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from hwnas.cli._console import arch_text, count_text, out, print_json, say
from hwnas.cli._counting import BIAS_HELP, COUNTING_HELP, CountingName, chosen_counting

_LOGIC = {" & ": " and ", " | ": " or "}


def space(
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE",
            help="A space of the zoo, or module:name or file.py:name of your own.",
            show_default=False,
        ),
    ],
    task: Annotated[
        str | None,
        typer.Option(metavar="TASK", help="The data, which fixes input shape and classes."),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(
            metavar="C,H,W", help="The shape of one input, such as 3,32,32, where no task tells it."
        ),
    ] = None,
    counting: Annotated[
        CountingName | None, typer.Option(help=COUNTING_HELP, show_default=False)
    ] = None,
    count_bias: Annotated[bool, typer.Option("--count-bias", metavar="", help=BIAS_HELP)] = False,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the sample.")] = 0,
    json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")] = False,
) -> None:
    """Show a space's size, decisions, a sample and the range of its costs."""
    from hwnas.cli._space_facts import space_facts

    facts = space_facts(space, task, input_shape, seed, chosen_counting(counting, count_bias))
    if json:
        print_json(facts)
    else:
        _print(facts)


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
    if not facts["costs"]:
        say("costs: not shown, they depend on the input (give --task or --input-shape)")
        return
    out.print()
    costs = _table("cost", "smallest", "largest", "", right=(1, 2))
    for name, (low, high) in facts["costs"].items():
        meaning = facts["flops"] if name == "flops" else ""
        costs.add_row(name, f"{low:,}", f"{high:,}", Text(meaning, style="dim"))
    out.print(costs)
    say(Text(f"over {facts['costs_over']}", style="dim"))


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
