"""Text from users and trials, made safe to print, and numbers as people read them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from hwnas._estimate import Estimate
from hwnas.budget import format_number, format_value

# Terminal escape sequences, then control characters and the marks that reorder text.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: object) -> str:
    """`text` without escape sequences and control characters; line ends and tabs stay."""
    return _CONTROLS.sub("", _ESCAPES.sub("", str(text).replace("\r\n", "\n")))


def one_line(text: object) -> str:
    """`text` cleaned, on one line."""
    return " ".join(clean(text).split())


def duration(seconds: float) -> str:
    """A time span: `0.4 s`, `42 s`, `3 min 12 s`, `1 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def percent(fraction: float) -> str:
    """A fraction as a percentage with two digits, or whole above that: `7.2 %`, `130 %`."""
    return f"{format_number(100 * fraction, 2)} %"


def decimals_for(values: Iterable[float], signs: int = 3) -> int:
    """How many decimals, at most 9, show the median of `values` with `signs` significant digits."""
    ordered = sorted(abs(value) for value in values)
    middle = ordered[len(ordered) // 2] if ordered else 0.0
    return min(max(0, signs - 1 - (math.floor(math.log10(middle)) if middle else 0)), 9)


def fixed(value: float, decimals: int) -> str:
    """`value` with so many decimals, or one significant digit where they would all be zero."""
    text = f"{value:.{decimals}f}"
    return text if value == 0 or float(text) != 0 else format_number(value, 1)


def estimate_text(key: str, cost: Estimate, unit: str | None = None) -> str:
    """A cost for people, with its standard deviation where it has one: `1.2 ±0.05 ms`."""
    text = format_value(key, cost.value, unit)
    if not cost.std:
        return text
    value, _, shown = text.partition(" ")
    std = format_value(key, cost.std, shown, signs=2).partition(" ")[0]
    return f"{value} ±{std} {shown}".rstrip()


def interval_text(key: str, low: float, high: float, unit: str | None = None) -> str:
    """An interval for people: `1.1 to 1.3 ms`."""
    last = format_value(key, high, unit)
    shown = last.partition(" ")[2]
    return f"{format_value(key, low, shown).partition(' ')[0]} to {last}"
