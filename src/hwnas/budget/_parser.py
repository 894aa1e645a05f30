"""The text of a budget: `latency@pixel6 <= 12 ms [confidence=0.9], params <= 3 M`.

    budget     = constraint {"," constraint}
    constraint = metric ["@" device] ("<=" | ">=") number [unit] ["[" option {"," option} "]"]
    option     = ("confidence" | "weight") "=" number

Blanks may stand between any two of these; names are free of blanks and of `< > = @ , [ ]`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from typing import Literal, NoReturn

from hwnas.budget._constraint import Constraint
from hwnas.budget._units import EXACT, quantity_of
from hwnas.cost import METRICS
from hwnas.errors import BudgetError

_BLANK = re.compile(r"\s*")
_NAME = re.compile(r"[^\s<>=≤≥@,\[\]]+")
_COMPARISON = re.compile(r"[<>=≤≥!]+")
_NUMBER = re.compile(
    r"[+-]?(?:(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|nan\b|inf(?:inity)?\b)",
    re.IGNORECASE,
)
_UNIT = re.compile(r"[^\s,\[\]<>=@\d]*")
_OPTIONS = ("confidence", "weight")


def parse(
    text: str, metrics: Iterable[str] = (), devices: Collection[str] | None = None
) -> Iterator[Constraint]:
    """The constraints that `text` names; see `Budget.parse`."""
    if not text.strip():
        raise BudgetError("the budget is empty; write for example 'latency <= 12 ms'")
    reader = _Reader(text)
    own = tuple(metrics)
    while True:
        start = reader.position
        metric, device = _subject(reader, own, devices)
        op = _comparison(reader)
        limit, unit = _limit(reader, metric)
        options = dict(_options(reader)) if reader.take("[") else {}
        try:
            yield Constraint(metric, device, op, limit, unit, **options)
        except BudgetError as error:
            reader.fail(str(error), start, reader.position)
        if reader.at_end():
            return
        if not reader.take(","):
            reader.fail("expected a comma between constraints")


class _Reader:
    """A place in a text. Every error says what is wrong, and where."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.last = 0  # where the token read last begins

    def read(self, pattern: re.Pattern[str]) -> str:
        """The token at this place ('' if there is none), blanks before it skipped."""
        self._skip()
        self.last = self.position
        match = pattern.match(self.text, self.position)
        token = match.group() if match else ""
        self.position += len(token)
        return token

    def take(self, mark: str) -> bool:
        """Whether `mark` stands here; it is then passed over."""
        self._skip()
        if not self.text.startswith(mark, self.position):
            return False
        self.position += len(mark)
        return True

    def at_end(self) -> bool:
        self._skip()
        return self.position == len(self.text)

    def fail(self, problem: str, start: int | None = None, end: int | None = None) -> NoReturn:
        """Raise `problem` with the text from `start` (default: here) to `end`."""
        start = self.position if start is None else start
        fragment = self.text[start:end]
        start += len(fragment) - len(fragment.lstrip())
        fragment = " ".join(fragment.split())
        fragment = fragment if len(fragment) <= 48 else fragment[:45] + "..."
        place = f"at character {start + 1}: '{fragment}'" if fragment else "at the end"
        raise BudgetError(f"{problem} (in the budget, {place})") from None

    def _skip(self) -> None:
        match = _BLANK.match(self.text, self.position)
        self.position = match.end() if match else self.position


def _subject(
    reader: _Reader, own: Collection[str], devices: Collection[str] | None
) -> tuple[str, str | None]:
    known = tuple(dict.fromkeys([*(key.partition("@")[0] for key in own), *METRICS]))
    name = reader.read(_NAME)
    if not name:
        reader.fail("expected a metric")
    if name not in known:
        reader.fail(_unknown("metric", name, known), reader.last, reader.position)
    if not reader.take("@"):
        return name, None
    device = reader.read(_NAME)
    if not device:
        reader.fail("expected a device's name after '@'")
    if name in METRICS and not METRICS[name].on_device:
        reader.fail(
            f"'{name}' is the same on every device; leave '@{device}' out",
            reader.last,
            reader.position,
        )
    if devices is not None and device not in devices and f"{name}@{device}" not in own:
        reader.fail(_unknown("device", device, devices), reader.last, reader.position)
    return name, device


def _comparison(reader: _Reader) -> Literal["<=", ">="]:
    op = reader.read(_COMPARISON)
    if op == "<=":
        return "<="
    if op == ">=":
        return ">="
    reader.fail("expected <= or >=", reader.last, reader.position if op else None)


def _limit(reader: _Reader, metric: str) -> tuple[float, str]:
    digits = reader.read(_NUMBER)
    start = reader.last
    if not digits:
        reader.fail("expected a number")
    unit = reader.read(_UNIT)
    quantity = quantity_of(metric)
    if unit not in quantity.units:
        others = [quantity_of(name) for name in METRICS]
        other = next((q.name for q in others if unit in q.units), None)
        takes = ", ".join(quantity.unit_names) + (" or no unit" if "" in quantity.units else "")
        if not unit:
            problem = f"'{metric}' needs a unit: {takes}"
        elif other:
            problem = f"'{unit}' is a unit of {other}, but '{metric}' takes {takes}"
        else:
            problem = _unknown("unit", unit, quantity.unit_names)
        reader.fail(problem, start, reader.position)
    return float(
        EXACT.multiply(EXACT.create_decimal(digits.replace("_", "")), quantity.units[unit])
    ), unit


def _options(reader: _Reader) -> Iterator[tuple[str, float]]:
    seen: set[str] = set()
    while True:
        name = reader.read(_NAME)
        if name not in _OPTIONS:
            problem = _unknown("option", name, _OPTIONS) if name else "expected an option"
            reader.fail(problem, reader.last, reader.position if name else None)
        if name in seen:
            reader.fail(f"'{name}' is given twice", reader.last, reader.position)
        seen.add(name)
        if not reader.take("="):
            reader.fail(f"expected '=' after '{name}'")
        digits = reader.read(_NUMBER)
        if not digits:
            reader.fail(f"expected a number for '{name}'")
        yield name, float(digits)
        if reader.take("]"):
            return
        if not reader.take(","):
            reader.fail("expected ',' or ']'")


def _unknown(kind: str, name: str, known: Collection[str]) -> str:
    same = [other for other in known if other.lower() == name.lower()]
    close = same or get_close_matches(name, known, n=1)
    if close:
        return f"unknown {kind} '{name}'; did you mean '{close[0]}'?"
    return f"unknown {kind} '{name}'; known: {', '.join(known) or 'none'}"
