"""`hwnas sample`: random archs that keep a budget."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from hwnas.cli._console import NOTHING_FEASIBLE, count_text, err, out, say
from hwnas.cli._counting import chosen_counting
from hwnas.cli._options import (
    DRAWN,
    BiasOption,
    BudgetOption,
    CostOption,
    CountingOption,
    DistributionName,
    DistributionOption,
    SeedOption,
    ShapeOption,
    SpaceArgument,
    TaskOption,
)

if TYPE_CHECKING:
    import numpy as np

    from hwnas.cost import FilteredSet
    from hwnas.space import Arch

_CHUNK = 10_000


def sample(
    space: SpaceArgument,
    budget: BudgetOption = "",
    n: Annotated[int, typer.Option("-n", min=1, metavar="N", help="How many archs.")] = 1000,
    to: Annotated[
        str,
        typer.Option(
            "--out",
            metavar="FILE",
            help="A .jsonl or .csv file to write; by default -, JSON lines on standard output.",
            show_default=False,
        ),
    ] = "-",
    cost: CostOption = None,
    task: TaskOption = None,
    input_shape: ShapeOption = None,
    counting: CountingOption = None,
    count_bias: BiasOption = False,
    distribution: DistributionOption = DistributionName.decisions,
    seed: SeedOption = 0,
) -> None:
    """Draw random archs that keep a budget, with their costs."""
    import numpy as np

    from hwnas.cli._archs import checked_suffix, write_archs
    from hwnas.cli._feasibility import method_facts, method_text, nothing_facts, print_nothing
    from hwnas.cli._subject import load_subject
    from hwnas.cost import FilteredSet
    from hwnas.errors import CostError

    path = None if to == "-" else checked_suffix(Path(to))
    subject = load_subject(
        space,
        task=task,
        input_shape=input_shape,
        counting=chosen_counting(counting, count_bias),
        costs=cost,
        budget=budget,
    )
    filtered = FilteredSet(subject.space, subject.budget.filters(subject.costs))
    console = err if path is None else out
    chunks = _chunks(filtered, n, np.random.default_rng(seed), distribution.value)
    try:
        first = next(chunks)
    except CostError:
        if not len(subject.budget):
            raise
        print_nothing(nothing_facts(subject, filtered), subject.budget, console)
        raise typer.Exit(NOTHING_FEASIBLE) from None
    archs = (arch for chunk in chain([first], chunks) for arch in subject.with_costs(chunk))
    write_archs(path, subject.space, list(subject.costs), archs)
    where = f" to {path}" if path else ""
    within = f" within {subject.budget}" if len(subject.budget) else ""
    say(f"{count_text(n, 'random arch')} of {subject.reference}{within}{where}", console)
    say(Text(f"{DRAWN[distribution.value]}; {method_text(method_facts(filtered))}", "dim"), console)


def _chunks(
    filtered: FilteredSet, n: int, rng: np.random.Generator, distribution: Any
) -> Iterator[list[Arch]]:
    """The archs, some thousands at a time."""
    for start in range(0, n, _CHUNK):
        rows = filtered.draw_encoded(min(_CHUNK, n - start), rng, distribution)
        yield filtered.space.decode(rows)
