"""`hwnas space`: what a space holds."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from hwnas.cli._console import out, print_json


def space(
    space: Annotated[str, typer.Argument(help="A space of the zoo, or module:name.")],
    task: Annotated[
        str | None,
        typer.Option(help="The data, which fixes input shape and classes."),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(help="The shape of one input, such as 3,32,32, where there is no task."),
    ] = None,
    count_bias: Annotated[
        bool, typer.Option("--count-bias", help="flops = 2 x MACs + biases, not 2 x MACs.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a space's size, decisions, a sample and the range of its costs."""
    from hwnas.cli._space_facts import space_facts

    facts = space_facts(space, task, input_shape, seed, count_bias)
    if json:
        print_json(facts)
        return
    out.print(Text.assemble((space, "bold"), f": {facts['size']:,} archs"))
    table = Table(box=None, pad_edge=False)
    for title in ("decision", "choices", "taken when"):
        table.add_column(title)
    for row in facts["decisions"]:
        choices = ", ".join(map(str, row["choices"]))
        table.add_row(Text(row["label"]), Text(choices), Text(row["condition"] or "always"))
    out.print(table)
    out.print(Text(f"sample: {facts['sample']}"))
    if facts["costs"]:
        out.print(Text(f"costs over {facts['costs_over']}:"))
        for name, (low, high) in facts["costs"].items():
            meaning = f" ({facts['flops']})" if name == "flops" else ""
            out.print(Text(f"  {name}: {low:,} to {high:,}{meaning}"))
    else:
        out.print(Text("costs: give --task or --input-shape"))
