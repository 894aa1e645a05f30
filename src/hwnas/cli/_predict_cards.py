"""`hwnas predict cards`: the predictors that come with hwnas."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from hwnas.cli._console import command, print_json, print_wide, say
from hwnas.cli._options import JsonOption


def cards(
    space: Annotated[
        str | None,
        typer.Argument(metavar="[SPACE]", help="Show the card of this one.", show_default=False),
    ] = None,
    json: JsonOption = False,
) -> None:
    """The predictors that come with hwnas: made of which data, how good, what they do not know."""
    from rich.table import Table

    from hwnas.predict import prior_card, prior_spaces

    found = [prior_card(name) for name in ([space] if space else prior_spaces())]
    if json:
        print_json([asdict(one) for one in found])
        return
    if space:
        say(found[0].text.rstrip())
        return
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for head in ("space", "predictor", "input", "card"):
        table.add_column(head)
    for one in found:
        shape = ",".join(map(str, one.input_shape)) if one.input_shape else "any size"
        table.add_row(one.space, one.predictor, shape, command("predict", "cards", one.space))
    print_wide(table)
