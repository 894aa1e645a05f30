"""`hwnas predict`: latencies of any arch on a device that measured a few."""

from __future__ import annotations

import typer

from hwnas.cli import _predict_cards, _predict_import

app = typer.Typer(
    help="Latencies of any arch on a device that measured a few, learnt from other devices.",
    no_args_is_help=True,
)
app.command("import", epilog=_predict_import.EPILOG)(_predict_import.import_)
app.command("cards")(_predict_cards.cards)
