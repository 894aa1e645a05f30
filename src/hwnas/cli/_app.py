"""The command's frame: sub-commands, exit codes, and errors without tracebacks."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from hwnas import __version__
from hwnas.cli import (
    _cancel,
    _cost,
    _device,
    _estimate,
    _evaluate,
    _export,
    _measure,
    _plan,
    _predict,
    _profile,
    _report,
    _sample,
    _search,
    _show,
    _space,
    _train,
    _trial,
    _vertex,
    _worker,
)
from hwnas.cli._console import INTERRUPTED, OK, USAGE, error
from hwnas.cli._errors import explain, own_line

app = typer.Typer(
    name="hwnas",
    help="Find neural networks that are accurate and keep a hardware budget on your devices.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 done, 1 error, 2 usage, 3 nothing feasible found, 130 interrupted.",
)
app.command("space")(_space.space)
app.command("sample")(_sample.sample)
app.command("cost")(_cost.cost)
app.command("search", epilog=_search.EPILOG)(_search.search)
app.command("train", epilog=_train.EPILOG)(_train.train)
app.command("show")(_show.show)
app.command("cancel")(_cancel.cancel)
app.command("report")(_report.report)
app.command("export")(_export.export)
app.add_typer(_device.app, name="device")
app.add_typer(_predict.app, name="predict")
app.add_typer(_vertex.app, name="vertex")
app.command("measure", epilog=_measure.EPILOG)(_measure.measure)
app.command("profile", epilog=_profile.EPILOG)(_profile.profile)
app.command("estimate")(_estimate.estimate)
app.command("evaluate", epilog=_evaluate.EPILOG)(_evaluate.evaluate)
app.command("plan")(_plan.plan)
app.command("trial")(_trial.trial)
app.command("worker", epilog=_worker.EPILOG)(_worker.worker)

_DEBUG = "HWNAS_DEBUG"

# The base of all wrong usage; typer exports only this one of its classes.
_WrongUsage: type[Exception] = typer.BadParameter.__mro__[1]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks of errors.", metavar="")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version.", metavar=""
        ),
    ] = False,
) -> None:
    if debug:
        os.environ[_DEBUG] = "1"
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


def main() -> None:
    """Run the command and exit with its code."""
    sys.exit(_run())


def _run() -> int:
    try:
        return app(standalone_mode=False) or OK
    except _WrongUsage as problem:
        context = getattr(problem, "ctx", None)
        path = context.command_path if context else "hwnas"
        text = getattr(problem, "format_message", problem.__str__)().rstrip(".")
        error(f"{text} (see {path} --help)")
        return USAGE
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (Exception, SystemExit) as problem:
        if os.environ.get(_DEBUG):
            raise
        if isinstance(problem, SystemExit) and own_line(problem) is None:
            raise
        text, code = explain(problem)
        error(text)
        return code
