"""What all commands print with."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.text import Text

out = Console()
if not out.is_terminal:
    out = Console(width=160)  # a log or a pipe has no width of its own; 80 would fold tables
err = Console(stderr=True)

OK, NOTHING_FEASIBLE, INTERRUPTED = 0, 3, 130


def error(text: str) -> None:
    """One line on standard error; the text is not markup."""
    err.print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)


def print_json(value: Any) -> None:
    """Strict JSON on standard output, not wrapped and not coloured."""
    print(json.dumps(value, indent=2, allow_nan=False))
