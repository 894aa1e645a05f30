"""Choice: a value that is left open."""

from __future__ import annotations

import itertools
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hwnas.errors import SpaceError
from hwnas.space._expr import Expr, Value, label_text
from hwnas.space._run import current_run, full_label

_COMBINATIONS = 1 << 16
_HERE = os.path.dirname(os.path.abspath(__file__))


class Choice(Expr):
    """One of several plain values: int, float, str or bool.

    While a network is built under an arch, `Choice(...)` is the chosen value itself, or None if
    `when` does not hold. Otherwise it is a formula (see `Expr`) that layers of `hwnas.space.nn`,
    `Repeat` and other choices' `when` understand.

    Args:
        values: the values, all different, at least one.
        label: the decision's name; two choices with one label are one decision. Without a label
            the name is the attribute path in the model, such as `stem.out_channels`.
        when: a condition on other choices; the decision is not taken where it is false.

    Raises:
        SpaceError: a value is not plain, is NaN or infinite, or two values are equal (1, 1.0
            and True count as equal).
    """

    values: tuple[Value, ...]
    when: Expr | bool
    where: str
    _label: str | None

    def __new__(
        cls, values: Sequence[Value], *, label: str | None = None, when: Expr | bool = True
    ) -> Any:
        """The chosen value under an arch, else a formula."""
        run = current_run()
        if run is not None:
            return run.choose(values, full_label(label), when)
        return cls.symbolic(values, full_label(label), when)

    @classmethod
    def symbolic(cls, values: Sequence[Value], label: str | None, when: Expr | bool) -> Choice:
        """A formula, whatever run is under way; `label` is taken as it is."""
        choice: Choice = object.__new__(cls)
        choice._label = label
        choice.where = _caller()
        choice.values = checked_values(values, f"Choice {label or ''} at {choice.where}")
        choice.when = when if isinstance(when, Expr) else bool(when)
        return choice

    @property
    def label(self) -> str:
        """The decision's name.

        Raises:
            SpaceError: it has none yet.
        """
        if self._label is None:
            raise SpaceError(
                f"{self.describe()} has no label yet: give it label=..., or put it in a space"
            )
        return self._label

    @property
    def identity(self) -> object:
        """What makes two choices the same: the label, else the object itself."""
        return self._label if self._label is not None else id(self)

    @property
    def is_labelled(self) -> bool:
        """Whether the decision has a name."""
        return self._label is not None

    def name(self, label: str) -> None:
        """Give the decision its name, once."""
        if self._label not in (None, label):
            raise SpaceError(f"{self.describe()} cannot be called '{label}' as well")
        self._label = label

    def describe(self) -> str:
        """The choice for an error message: its label or values, and where it was made."""
        text = f"'{self._label}'" if self._label is not None else str(list(self.values))
        return f"Choice {text} ({self.where})"

    def leaves(self) -> Iterator[Choice]:
        """See `Expr.leaves`."""
        yield self

    def compute(self, value_of: Callable[[Choice], Value | None]) -> Any:
        """See `Expr.compute`."""
        return value_of(self)

    def __copy__(self) -> Choice:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Choice.symbolic, (self.values, self._label, self.when)

    def __repr__(self) -> str:
        return label_text(self._label) if self._label is not None else f"Choice({self.values})"


def checked_values(values: Sequence[Value], what: str) -> tuple[Value, ...]:
    """The values of a decision as a tuple.

    Raises:
        SpaceError: see `Choice`; the message starts with `what`.
    """
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise SpaceError(f"{what}: the values must be a list, not {values!r}")
    if not values:
        raise SpaceError(f"{what}: there are no values")
    for value in values:
        if type(value) not in (int, float, str, bool):
            raise SpaceError(
                f"{what}: {value!r} is of type {type(value).__name__}; "
                "values are int, float, str or bool (for layers use LayerChoice)"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise SpaceError(f"{what}: {value} is not a finite number")
    seen: dict[Value, Value] = {}
    for value in values:
        if value in seen:
            other = seen[value]
            same = "stands twice" if type(other) is type(value) else f"equals {other!r}"
            raise SpaceError(f"{what}: {value!r} {same} among the values")
        seen[value] = value
    return tuple(values)


def possible_values(expr: Expr) -> list[Any]:
    """The values that a formula can take, choices taken as free of each other and all taken."""
    leaves = list({leaf.identity: leaf for leaf in expr.leaves()}.values())
    combinations = math.prod(len(leaf.values) for leaf in leaves)
    if combinations > _COMBINATIONS:
        raise SpaceError(f"{expr!r} rests on too many choices ({combinations} combinations)")
    values = {}
    for combination in itertools.product(*(leaf.values for leaf in leaves)):
        known = {leaf.identity: v for leaf, v in zip(leaves, combination, strict=True)}
        value = expr.compute(lambda leaf, known=known: known[leaf.identity])  # type: ignore[misc]
        values[type(value), value] = value
    return list(values.values())


def _caller() -> str:
    """File and line of the innermost frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
