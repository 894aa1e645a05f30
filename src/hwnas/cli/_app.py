"""The command's frame: sub-commands, exit codes, and errors without tracebacks."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from hwnas import __version__
from hwnas.cli import _export, _measure, _report, _search, _show, _space
from hwnas.cli._console import error
from hwnas.errors import HwnasError, UsageError

app = typer.Typer(
    name="hwnas",
    help="Find neural networks that are accurate and keep a hardware budget on your devices.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 done, 1 error, 2 usage, 3 nothing feasible found, 130 interrupted.",
)
app.command("search")(_search.search)
app.command("show")(_show.show)
app.command("report")(_report.report)
app.command("export")(_export.export)
app.command("measure")(_measure.measure)
app.command("space")(_space.space)

_DEBUG = "HWNAS_DEBUG"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if debug:
        os.environ[_DEBUG] = "1"


def main() -> None:
    """Run the command and exit with its code."""
    try:
        app()
    except UsageError as problem:
        _end(problem, str(problem), 2)
    except HwnasError as problem:
        _end(problem, str(problem), 1)
    except OSError as problem:
        where = f" ({problem.filename})" if problem.filename else ""
        _end(problem, f"{problem.strerror or problem}{where}", 1)
    except Exception as problem:  # noqa: BLE001 - the last place to turn a bug into a message
        text = f"{type(problem).__name__}: {problem} (a bug, please report it; see hwnas --debug)"
        _end(problem, text, 1)


def _end(problem: Exception, text: str, code: int) -> None:
    if os.environ.get(_DEBUG):
        raise problem
    error(text)
    sys.exit(code)
