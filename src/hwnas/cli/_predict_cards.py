"""`hwnas predict cards`: the predictors that come with hwnas."""

from __future__ import annotations

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
    from hwnas.predict import load_prior, prior_card, prior_spaces

    if space is not None:
        card = prior_card(space)
        if json:
            print_json({"space": space, "card": card})
        else:
            say(card.rstrip())
        return
    found = [(name, load_prior(name)) for name in prior_spaces()]
    if json:
        print_json(
            [
                {"space": name, "predictor": one.name, "input_shape": one.input_shape}
                for name, one in found
            ]
        )
        return
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for head in ("space", "predictor", "input", "card"):
        table.add_column(head)
    for name, one in found:
        shape = ",".join(map(str, one.input_shape)) if one.input_shape else "any size"
        table.add_row(name, one.name, shape, command("predict", "cards", name))
    print_wide(table)
