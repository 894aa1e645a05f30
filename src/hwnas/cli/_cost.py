"""`hwnas cost`: what archs cost."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from hwnas.cli._console import arch_text, out, print_json, print_wide, say
from hwnas.cli._counting import chosen_counting
from hwnas.cli._options import (
    ArchOption,
    BiasOption,
    CostOption,
    CountingOption,
    CsvOption,
    JsonOption,
    ShapeOption,
    SpaceArgument,
    TaskOption,
)
from hwnas.errors import UsageError

if TYPE_CHECKING:
    from hwnas.cli._subject import Subject
    from hwnas.space import Arch

_FEW = 20
"""More archs than these have numbers only, and no costs that take long."""


def cost(
    space: SpaceArgument,
    arch: ArchOption,
    cost: CostOption = None,
    task: TaskOption = None,
    input_shape: ShapeOption = None,
    counting: CountingOption = None,
    count_bias: BiasOption = False,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Show what archs cost."""
    from hwnas.cli._archs import read_archs, write_csv
    from hwnas.cli._subject import load_subject
    from hwnas.cost import STATIC_METRICS

    if json and csv:
        raise UsageError("--json and --csv cannot be printed together; leave one out")
    subject = load_subject(
        space,
        task=task,
        input_shape=input_shape,
        counting=chosen_counting(counting, count_bias),
        costs=cost,
        metrics=STATIC_METRICS,
    )
    archs = [a for source in arch for a in read_archs(source, space, subject.space)]
    if len(archs) > _FEW:
        subject = subject.without_slow()
    rows = subject.with_costs(archs)
    if json:
        print_json([{"arch": arch, "costs": costs} for arch, costs in rows])
    elif csv:
        write_csv(sys.stdout, subject.space, list(subject.costs), rows)
    else:
        print_costs(subject, rows)
        if "flops" in subject.costs:
            say(Text(f"flops: {subject.flops}", style="dim"))
        elif subject.input_shape is None:
            missing = "macs and flops depend on the input: give --task or --input-shape"
            say(Text(missing, style="dim"))


def print_costs(subject: Subject, rows: list[tuple[Arch, dict[str, float]]]) -> None:
    """The archs, if they are few, and a table of their costs."""
    from hwnas.budget import format_value, unit_for
    from hwnas.report import one_line

    units = {name: unit_for(name, [costs[name] for _, costs in rows]) for name in subject.costs}
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    table.add_column("", justify="right", no_wrap=True)
    for name in subject.costs:
        table.add_column(one_line(name), justify="right", no_wrap=True)
    for number, (_, costs) in enumerate(rows, start=1):
        shown = [format_value(name, costs[name], units[name], signs=5) for name in subject.costs]
        table.add_row(f"{number}", *shown)
    for number, (arch, _) in enumerate(rows if len(rows) <= _FEW else [], start=1):
        say(f"{number}  {one_line(arch_text(arch))}")
    if len(rows) <= _FEW:
        out.print()
    print_wide(table)
