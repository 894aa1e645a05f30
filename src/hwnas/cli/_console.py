"""What all commands print with."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich.console import Console, RenderableType
from rich.segment import Segment, Segments
from rich.text import Text

out = Console()
if not out.is_terminal and "COLUMNS" not in os.environ:
    out = Console(width=160)  # a log or a pipe has no width of its own; 80 would fold tables
_ENDLESS = 10_000
err = Console(stderr=True)

OK, ERROR, USAGE, NOTHING_FEASIBLE, INTERRUPTED = 0, 1, 2, 3, 130


def say(text: str | Text, console: Console = out) -> None:
    """A line, literally: no markup, and never folded, so that paths and commands can be copied."""
    console.print(Text(text) if isinstance(text, str) else text, soft_wrap=True)


def print_wide(renderable: RenderableType, console: Console = out) -> None:
    """A table at its full width: where the terminal is narrower, better folded than cut."""
    endless = console.options.update(width=_ENDLESS)
    needed = console.measure(renderable, options=endless).maximum
    options = console.options.update(width=max(needed, console.width))
    for line in console.render_lines(renderable, options, pad=False):
        console.print(Segments([*line, Segment.line()]), crop=False)


def error(text: str) -> None:
    """One line on standard error."""
    from hwnas.report import one_line

    say(Text.assemble(("error: ", "bold red"), one_line(text)), err)


def print_json(value: Any) -> None:
    """Strict JSON on standard output, not wrapped and not coloured."""
    print(json.dumps(value, indent=2, allow_nan=False), flush=True)


def command(*words: object) -> str:
    """A command to copy: words that the shell would take apart are quoted."""
    return shlex.join(["hwnas", *map(str, words)])


def arch_text(arch: Mapping[str, Any]) -> str:
    """An arch on one line: `depth=2, width=16`."""
    return ", ".join(f"{label}={choice}" for label, choice in arch.items())


def count_text(count: int, noun: str = "") -> str:
    """A count as people read it: `1 arch`, `237,276 archs`, `2.2e+40 archs`."""
    text = f"{count:,}" if count < 10**12 else f"{Decimal(count):.2g}"
    return f"{text} {noun}{'' if count == 1 else 's'}" if noun else text
