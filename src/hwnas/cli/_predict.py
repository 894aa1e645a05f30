"""`hwnas predict`: latencies of any arch on a device that measured a few."""

from __future__ import annotations

import typer

from hwnas.cli import (
    _predict_adapt,
    _predict_cards,
    _predict_import,
    _predict_measure,
    _predict_nas,
    _predict_test,
    _predict_train,
)

app = typer.Typer(
    help="Latencies of any arch on a device that measured a few, learnt from other devices.",
    no_args_is_help=True,
)
app.command("import", epilog=_predict_import.EPILOG)(_predict_import.import_)
app.command("cards")(_predict_cards.cards)
app.command("adapt", epilog=_predict_adapt.EPILOG)(_predict_adapt.adapt)
app.command("measure", epilog=_predict_measure.EPILOG)(_predict_measure.measure)
app.command("train", epilog=_predict_train.EPILOG)(_predict_train.train)
app.command("test", epilog=_predict_test.EPILOG)(_predict_test.trial)
app.command("nas", epilog=_predict_nas.EPILOG)(_predict_nas.nas)
