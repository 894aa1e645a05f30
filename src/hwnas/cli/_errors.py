"""What went wrong, in one line, and the exit code for it."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

import hwnas
from hwnas.cli._console import ERROR, NOTHING_FEASIBLE, USAGE
from hwnas.errors import BudgetError, HwnasError, InfeasibleError, UsageError

_INSTALLED = (
    Path(hwnas.__file__).parent,
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib", "scripts")),
)


def explain(problem: BaseException) -> tuple[str, int]:
    """The message for a user, and the exit code.

    What a user's own module raised is told with its file and line; only what comes from hwnas and
    the libraries alone is called a bug.
    """
    if isinstance(problem, InfeasibleError):
        return str(problem), NOTHING_FEASIBLE
    if isinstance(problem, HwnasError):
        wrong_words = isinstance(problem, UsageError | BudgetError)
        return str(problem), USAGE if wrong_words else ERROR
    place = own_line(problem)
    if place is not None:
        return f"{_named(problem)} ({place}; hwnas --debug shows the traceback)", ERROR
    if isinstance(problem, OSError):
        where = f": {problem.filename}" if problem.filename else ""
        return f"{problem.strerror or problem}{where}", ERROR
    return f"{_named(problem)} (a bug, please report what hwnas --debug shows)", ERROR


def _named(problem: BaseException) -> str:
    lines = str(problem).strip().splitlines()
    if isinstance(problem, SyntaxError):
        lines = [problem.msg]
    if isinstance(problem, SystemExit):
        return f"the module called sys.exit({problem.code!r}) while it was imported"
    return ": ".join([type(problem).__name__, *lines[:1]])


def own_line(problem: BaseException) -> str | None:
    """The last line of the user's own code that the error passed through."""
    if isinstance(problem, SyntaxError) and problem.filename:
        return f"{_short(problem.filename)}, line {problem.lineno}"
    for frame in reversed(traceback.extract_tb(problem.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and not any(path.is_relative_to(folder) for folder in _INSTALLED):
            return f"{_short(path)}, line {frame.lineno}"
    return None


def _short(path: str | Path) -> str:
    """The path as seen from the current folder, where it lies in it."""
    path, here = Path(path), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
