"""Formulas over choices: data that can be evaluated, printed and fingerprinted."""

from __future__ import annotations

import builtins
import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from hwnas.errors import SpaceError

if TYPE_CHECKING:
    from hwnas.space._choice import Choice

Value: TypeAlias = int | float | str | bool
Arch: TypeAlias = dict[str, Value]

_BARE_LABEL = re.compile(r"[A-Za-z_\[][\w./\-\[\]]*")


class OpenValueError(SpaceError):
    """A choice was used as if it had a value before an arch is chosen."""


class Expr:
    """A formula over choices, immutable. `Choice` is its leaf.

    Made by the operators `+ - * / // % ** == != < <= > >= & |`, by `abs`, `round`, `math.floor`
    and `math.ceil`, and by the functions of this module. A formula has no truth value and is no
    number while the constructor of a `ModelSpace` runs: `if`, `range` and `int` refuse it.

    The value of a decision that is not taken is None: `==` and `!=` compare with it as Python
    does, an order comparison with it is False, `&` and `|` read it as False, and arithmetic with
    it is None.
    """

    __hash__ = object.__hash__

    def leaves(self) -> Iterator[Choice]:
        """The choices in the formula, from left to right, repeated ones repeated."""
        raise NotImplementedError

    def compute(self, value_of: Callable[[Choice], Value | None]) -> Any:
        """The value when each choice has the value that `value_of` gives it."""
        raise NotImplementedError

    def evaluate(self, arch: Mapping[str, Value]) -> Any:
        """The value under `arch`; None if it needs a decision that is not taken."""
        return self.compute(lambda choice: arch.get(choice.label))

    @property
    def labels(self) -> frozenset[str]:
        """The labels of the decisions that the value depends on."""
        return frozenset(leaf.label for leaf in self.leaves())

    def __deepcopy__(self, memo: dict[int, Any]) -> Expr:
        return self

    def __add__(self, other: float | Expr) -> Expr:
        return _binary("+", self, other)

    def __radd__(self, other: float | Expr) -> Expr:
        return _binary("+", other, self)

    def __sub__(self, other: float | Expr) -> Expr:
        return _binary("-", self, other)

    def __rsub__(self, other: float | Expr) -> Expr:
        return _binary("-", other, self)

    def __mul__(self, other: float | Expr) -> Expr:
        return _binary("*", self, other)

    def __rmul__(self, other: float | Expr) -> Expr:
        return _binary("*", other, self)

    def __truediv__(self, other: float | Expr) -> Expr:
        return _binary("/", self, other)

    def __rtruediv__(self, other: float | Expr) -> Expr:
        return _binary("/", other, self)

    def __floordiv__(self, other: float | Expr) -> Expr:
        return _binary("//", self, other)

    def __rfloordiv__(self, other: float | Expr) -> Expr:
        return _binary("//", other, self)

    def __mod__(self, other: float | Expr) -> Expr:
        return _binary("%", self, other)

    def __rmod__(self, other: float | Expr) -> Expr:
        return _binary("%", other, self)

    def __pow__(self, other: float | Expr) -> Expr:
        return _binary("**", self, other)

    def __rpow__(self, other: float | Expr) -> Expr:
        return _binary("**", other, self)

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return _binary("==", self, other)

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return _binary("!=", self, other)

    def __lt__(self, other: float | Expr) -> Expr:
        return _binary("<", self, other)

    def __le__(self, other: float | Expr) -> Expr:
        return _binary("<=", self, other)

    def __gt__(self, other: float | Expr) -> Expr:
        return _binary(">", self, other)

    def __ge__(self, other: float | Expr) -> Expr:
        return _binary(">=", self, other)

    def __and__(self, other: bool | Expr) -> Expr:
        return _binary("&", self, other)

    def __rand__(self, other: bool | Expr) -> Expr:
        return _binary("&", other, self)

    def __or__(self, other: bool | Expr) -> Expr:
        return _binary("|", self, other)

    def __ror__(self, other: bool | Expr) -> Expr:
        return _binary("|", other, self)

    def __neg__(self) -> Expr:
        return Op("neg", self)

    def __pos__(self) -> Expr:
        return self

    def __abs__(self) -> Expr:
        return Op("abs", self)

    def __round__(self, digits: int | None = None) -> Expr:
        return Op("round", self) if digits is None else Op("round", self, digits)

    def __floor__(self) -> Expr:
        return Op("floor", self)

    def __ceil__(self) -> Expr:
        return Op("ceil", self)

    def __invert__(self) -> NoReturn:
        # A chosen value is a plain bool when a network is built, and Python's ~True is -2.
        raise SpaceError(f"~ has no meaning for {self!r}: write hwnas.space.logical_not(...)")

    def __bool__(self) -> NoReturn:
        raise OpenValueError(
            f"{self!r} has no truth value before an arch is chosen: use layers of hwnas.space.nn, "
            "not torch.nn; LayerChoice, Repeat or Choice(..., when=...) in place of `if`; and "
            "& | logical_not in place of and, or, not"
        )

    def __index__(self) -> NoReturn:  # noqa: PLE0305
        self._no_number()

    def __int__(self) -> NoReturn:
        self._no_number()

    def __float__(self) -> NoReturn:
        self._no_number()

    def _no_number(self) -> NoReturn:
        raise OpenValueError(
            f"{self!r} is no number before an arch is chosen: give it to a layer of "
            "hwnas.space.nn in place of torch.nn, use Repeat in place of range, and "
            "hwnas.space.floor in place of int"
        )


class Op(Expr):
    """An operator or function applied to formulas and plain values.

    Attributes:
        possible: if not empty, all values that the formula can take. A shortcut for formulas
            over more choices than can be tried.
    """

    def __init__(self, symbol: str, *args: Expr | Value, possible: Sequence[int] = ()) -> None:
        self.symbol = symbol
        self.args = args
        self.possible = possible

    def leaves(self) -> Iterator[Choice]:
        """See `Expr.leaves`."""
        for arg in self.args:
            if isinstance(arg, Expr):
                yield from arg.leaves()

    def compute(self, value_of: Callable[[Choice], Value | None]) -> Any:
        """See `Expr.compute`."""
        values = [arg.compute(value_of) if isinstance(arg, Expr) else arg for arg in self.args]
        if self.symbol in _LOGICAL:
            values = [False if value is None else value for value in values]
        elif self.symbol not in ("==", "!=") and None in values:
            return False if self.symbol in _ORDER else None
        try:
            return _FUNCTIONS[self.symbol](*values)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise SpaceError(f"{self!r} has no value for {values}: {error}") from error

    def __repr__(self) -> str:
        args = [repr(arg) if isinstance(arg, Expr) else json.dumps(arg) for arg in self.args]
        if self.symbol in ("&", "|"):
            # and/or read the same in any order, so one spelling stands for all.
            flat = sorted({part for arg in self.args for part in self._flat(arg)})
            return f"({f' {self.symbol} '.join(flat)})" if len(flat) > 1 else flat[0]
        if self.symbol in _FUNCTION_NAMES:
            return f"{self.symbol}({', '.join(args)})"
        return f"({args[0]} {self.symbol} {args[1]})"

    def _flat(self, arg: Expr | Value) -> list[str]:
        if isinstance(arg, Op) and arg.symbol == self.symbol:
            return [text for part in arg.args for text in self._flat(part)]
        return [repr(arg) if isinstance(arg, Expr) else json.dumps(arg)]


def minimum(*values: Any) -> Any:
    """The smallest of the values (formulas or plain numbers)."""
    return _apply("min", *values)


def maximum(*values: Any) -> Any:
    """The largest of the values (formulas or plain numbers)."""
    return _apply("max", *values)


def floor(value: Any) -> Any:
    """The largest integer not above `value`."""
    return _apply("floor", value)


def ceil(value: Any) -> Any:
    """The smallest integer not below `value`."""
    return _apply("ceil", value)


def round_to(value: Any, multiple: Any) -> Any:
    """The multiple of `multiple` nearest to `value` (halves go up), at least one `multiple`."""
    return _apply("round_to", value, multiple)


def make_divisible(value: Any, divisor: Any = 8) -> Any:
    """`round_to`, but never more than 10 % below `value`.

    Channel rounding as in MobileNetV2 (Sandler et al., CVPR 2018) and its successors.
    """
    return _apply("make_divisible", value, divisor)


def logical_not(value: Any) -> Any:
    """True where `value` is false."""
    return _apply("not", value)


def conjunction(*conditions: Expr | bool) -> Expr | bool:
    """All of the conditions; plain True and False are absorbed."""
    result: Expr | bool = True
    for condition in conditions:
        if condition is False or result is False:
            return False
        if condition is not True:
            result = condition if result is True else Op("&", result, condition)
    return result


def disjunction(*conditions: Expr | bool) -> Expr | bool:
    """Any of the conditions; plain True and False are absorbed."""
    result: Expr | bool = False
    for condition in conditions:
        if condition is True or result is True:
            return True
        if condition is not False:
            result = condition if result is False else Op("|", result, condition)
    return result


MAY_BE_OPEN = (Expr, tuple, list, dict)
"""Where `exprs` looks for formulas."""


def exprs(value: Any) -> Iterator[Expr]:
    """The formulas in a value, looking into tuples, lists and dicts."""
    if isinstance(value, Expr):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            if isinstance(part, MAY_BE_OPEN):  # A generator for each part takes long.
                yield from exprs(part)
    elif isinstance(value, dict):
        yield from exprs(list(value.values()))


def resolve(value: Any, arch: Mapping[str, Value]) -> Any:
    """`value` with its formulas evaluated, looking into tuples, lists and dicts."""
    if isinstance(value, Expr):
        return value.evaluate(arch)
    if type(value) in (tuple, list):
        return type(value)(resolve(part, arch) for part in value)
    if type(value) is dict:
        return {key: resolve(part, arch) for key, part in value.items()}
    return value


def label_text(label: str) -> str:
    """A label as formulas print it: quoted where it could be read as something else."""
    return label if _BARE_LABEL.fullmatch(label) else f"label({json.dumps(label)})"


def _round_to(value: float, multiple: int) -> int:
    return max(multiple, math.floor(value / multiple + 0.5) * multiple)


def _make_divisible(value: float, divisor: int) -> int:
    rounded = _round_to(value, divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


_BINARY: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "&": operator.and_,
    "|": operator.or_,
}
_NAMED: dict[str, Callable[..., Any]] = {
    "neg": operator.neg,
    "not": operator.not_,
    "abs": abs,
    "round": round,
    "floor": math.floor,
    "ceil": math.ceil,
    "min": builtins.min,
    "max": builtins.max,
    "round_to": _round_to,
    "make_divisible": _make_divisible,
}
_FUNCTIONS = _BINARY | _NAMED
_FUNCTION_NAMES = frozenset(_NAMED)
_ORDER = frozenset(("<", "<=", ">", ">="))
_LOGICAL = frozenset(("&", "|", "not"))


def _binary(symbol: str, left: object, right: object) -> Expr:
    if isinstance(left, Expr | int | float | str) and isinstance(right, Expr | int | float | str):
        return Op(symbol, left, right)
    return NotImplemented  # type: ignore[no-any-return]


def _apply(symbol: str, *values: Any) -> Any:
    if any(isinstance(value, Expr) for value in values):
        return Op(symbol, *values)
    return _NAMED[symbol](*values)
