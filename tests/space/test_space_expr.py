"""Formulas over choices: the value is Python's, the text is canonical, misuse is explained."""

from __future__ import annotations

import copy
import math
import operator
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import SpaceError
from hwnas.space import (
    Choice,
    Expr,
    ceil,
    floor,
    logical_not,
    make_divisible,
    maximum,
    minimum,
    round_to,
)

BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
    operator.eq,
    operator.ne,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
    minimum,
    maximum,
    round_to,
    make_divisible,
]
UNARY = [operator.neg, operator.pos, abs, round, math.floor, math.ceil, floor, ceil, logical_not]


@given(st.sampled_from(BINARY), st.integers(1, 40), st.integers(1, 9), st.booleans())
def test_binary_operators_are_those_of_python(op: Any, left: int, right: int, swap: bool) -> None:
    a, b = Choice([left], label="a"), Choice([right], label="b")
    arch = {"a": left, "b": right}
    expected = op(left, right)
    for formula in (op(a, b), op(a, right), op(left, b)):
        assert isinstance(formula, Expr)
        value = formula.evaluate(arch)
        assert value == expected
        assert type(value) is type(expected)


@given(st.sampled_from(UNARY), st.floats(-100, 100))
def test_unary_operators_are_those_of_python(op: Any, value: float) -> None:
    formula = op(Choice([value], label="a"))
    assert formula.evaluate({"a": value}) == op(value)


@given(st.booleans(), st.booleans())
def test_logic(left: bool, right: bool) -> None:
    a, b = Choice([left], label="a"), Choice([right], label="b")
    arch = {"a": left, "b": right}
    assert (a & b).evaluate(arch) is (left and right)
    assert (a | b).evaluate(arch) is (left or right)
    assert (True & a).evaluate(arch) is left
    assert (False | b).evaluate(arch) is right
    assert logical_not(a).evaluate(arch) is (not left)


@given(st.integers(1, 2000), st.sampled_from([1, 4, 8, 16]))
def test_rounding_to_multiples(value: int, divisor: int) -> None:
    nearest, channels = round_to(value, divisor), make_divisible(value, divisor)
    assert nearest % divisor == 0
    assert nearest == divisor or abs(nearest - value) <= divisor / 2
    assert channels % divisor == 0
    assert channels >= 0.9 * value
    assert channels - value < 1.5 * divisor


def test_channel_counts_of_mobilenet_v3() -> None:
    # Squeeze-excite widths of MobileNetV3-Large: a quarter of the expanded width.
    assert [make_divisible(width / 4) for width in (72, 120, 480, 672, 960)] == [
        24,
        32,
        120,
        168,
        240,
    ]


def test_plain_arguments_give_plain_numbers() -> None:
    assert type(minimum(3, 4)) is int
    assert maximum(3, 4, 5) == 5
    assert floor(2.5) == 2
    assert ceil(2.5) == 3
    assert logical_not(0) is True


def test_decisions_that_are_not_taken() -> None:
    a = Choice([1, 2], label="a")
    assert (a + 1).evaluate({}) is None
    assert (a == 1).evaluate({}) is False
    assert (a != 1).evaluate({}) is True
    assert (a > 1).evaluate({}) is False
    assert (a <= 1).evaluate({}) is False
    assert ((a > 1) | True).evaluate({}) is True
    assert ((a > 1) & True).evaluate({}) is False


def test_labels_and_text() -> None:
    a, b = Choice([1, 2], label="stage1/a"), Choice([3, 4], label="b c")
    formula = (a * 2 + b) // 3 > 1
    assert formula.labels == {"stage1/a", "b c"}
    assert repr(formula) == '((((stage1/a * 2) + label("b c")) // 3) > 1)'
    assert repr(minimum(a, 2)) == "min(stage1/a, 2)"
    assert repr(Choice(["x"], label="op") == "x") == '(op == "x")'


def test_the_order_of_a_conjunction_does_not_show() -> None:
    a, b, c = (Choice([True, False], label=label) for label in "abc")
    assert repr((a & b) & c) == repr(c & (b & a)) == "(a & b & c)"
    assert repr(a | a) == "a"
    assert repr(a & (b | c)) == "((b | c) & a)"


def test_misuse_is_explained() -> None:
    a = Choice([1, 2], label="a")
    with pytest.raises(SpaceError, match=r"no truth value.*LayerChoice"):
        bool(a > 1)
    with pytest.raises(SpaceError, match="no truth value"):
        assert 1 < a < 2
    for use in (int, float, range, operator.index):
        with pytest.raises(SpaceError, match=r"hwnas\.space\.nn"):
            use(a)
    with pytest.raises(SpaceError, match="logical_not"):
        operator.invert(a)
    with pytest.raises(TypeError):
        operator.add(a, [1])
    with pytest.raises(SpaceError, match=r"\(1 // a\).*zero"):
        (1 // Choice([0], label="a")).evaluate({"a": 0})


def test_formulas_copy_and_pickle() -> None:
    a = Choice([1, 2], label="a", when=Choice([3, 4], label="b") > 3)
    formula = maximum(a * 2, 3)
    assert copy.deepcopy(formula) is formula
    assert copy.copy(a) is a
    again = pickle.loads(pickle.dumps(formula))  # noqa: S301
    assert repr(again) == repr(formula)
    assert next(again.leaves()).values == (1, 2)
    assert repr(next(again.leaves()).when) == "(b > 3)"
