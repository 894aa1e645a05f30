"""The text of a budget: what it means, how it prints, and what each mistake is told."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.budget import Budget, Constraint
from hwnas.budget._units import quantity_of
from hwnas.cost import METRICS
from hwnas.errors import BudgetError


def test_a_budget_is_a_conjunction_of_constraints() -> None:
    budget = Budget.parse("latency@pixel6 <= 12 ms, params <= 3 M")
    latency, params = budget
    assert latency == Constraint("latency", "pixel6", "<=", 12.0, "ms")
    assert params == Constraint("params", None, "<=", 3e6, "M")
    assert (latency.key, params.key) == ("latency@pixel6", "params")
    assert (latency.confidence, latency.weight) == (0.95, 1.0)
    assert len(budget) == 2


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("latency <= 250 ns", 0.00025),
        ("latency <= 250 us", 0.25),
        ("latency <= 250 µs", 0.25),
        ("latency <= 250 μs", 0.25),
        ("latency <= 0.1 ms", 0.1),
        ("latency <= 1.5 s", 1500.0),
        ("weight_bytes <= 10 B", 10.0),
        ("weight_bytes <= 10 kB", 10_000.0),
        ("weight_bytes <= 1.1 MB", 1_100_000.0),
        ("weight_bytes <= 2 GB", 2e9),
        ("weight_bytes <= 1 KiB", 1024.0),
        ("weight_bytes <= 1.5 MiB", 1_572_864.0),
        ("peak_memory@gpu <= 1 GiB", 1_073_741_824.0),
        ("macs <= 1e6", 1e6),
        ("macs <= 1_000_000", 1e6),
        ("macs <= 300 k", 3e5),
        ("flops <= 0.8M", 8e5),
        ("flops <= 4 G", 4e9),
        ("params <= .5 M", 5e5),
        ("energy <= 7 mJ", 7.0),
        ("energy <= 7 J", 7000.0),
        ("power <= 900 mW", 900.0),
        ("power <= 2 W", 2000.0),
        ("throughput >= 350 items/s", 350.0),
        ("recall >= 0.9", 0.9),
    ],
)
def test_every_unit_is_read_to_the_nearest_float(text: str, limit: float) -> None:
    (constraint,) = Budget.parse(text, metrics=["recall"])
    assert constraint.limit == limit
    assert str(constraint) == str(Budget.parse(str(constraint), metrics=["recall"]))


def test_options_follow_in_brackets() -> None:
    first, second = Budget.parse(
        "latency <= 12 ms [confidence=0.9, weight=0.5],throughput>=3 items/s[ weight = 0 ]"
    )
    assert (first.confidence, first.weight) == (0.9, 0.5)
    assert (second.confidence, second.weight) == (0.95, 0.0)
    assert second.op == ">="


def test_it_prints_as_it_was_written() -> None:
    text = "latency@pixel6 <= 12 ms [confidence=0.9, weight=0.5], weight_bytes <= 1.1 MiB"
    assert str(Budget.parse(text)) == text


def test_a_lower_and_an_upper_limit_go_together() -> None:
    budget = Budget.parse("power >= 1 W, power <= 2000 mW")
    assert [c.limit for c in budget] == [1000.0, 2000.0]


def test_a_budget_cannot_be_changed() -> None:
    budget = Budget.parse("params <= 3 M")
    with pytest.raises(dataclasses.FrozenInstanceError):
        budget.constraints = ()  # type: ignore[misc]


ERRORS = {
    "": "the budget is empty",
    " ": "the budget is empty",
    "latency <= 3 MB": "'MB' is a unit of memory, but 'latency' takes ns, us, ms, s (in",
    "latency <= 3": "'latency' needs a unit: ns, us, ms, s",
    "weight_bytes <= 300": "'weight_bytes' needs a unit: B, kB, MB",
    "throughput >= 3": "needs a unit: items/s",
    "params <= 3 ms": "'ms' is a unit of time, but 'params' takes k, M, G or no unit",
    "recall >= 3 ms": "'ms' is a unit of time, but 'recall' takes k, M, G or no unit",
    "latency <= 3 parsec": "unknown unit 'parsec'; known: ns, us, ms, s",
    "latency <= 3 Ms": "unknown unit 'Ms'; did you mean 'ms'?",
    "flops <= 3 m": "unknown unit 'm'; did you mean 'M'?",
    "latensy <= 3 ms": "unknown metric 'latensy'; did you mean 'latency'?",
    "speed <= 3 ms": "unknown metric 'speed'; known: ",
    "recal >= 0.9": "did you mean 'recall'?",
    "latency@pixel7 <= 3 ms": "unknown device 'pixel7'; did you mean 'pixel6'?",
    "latency@toaster <= 3 ms": "unknown device 'toaster'; known: pixel6, server",
    "params@pixel6 <= 3 M": "'params' is the same on every device; leave '@pixel6' out",
    "latency@ <= 3 ms": "expected a device's name after '@'",
    "latency <= 3 ms, latency <= 4 ms": "'latency <=' is limited twice",
    "latency <= 3 ms, latency <= 3 ms": "'latency <=' is limited twice",
    "latency <= 3 ms, latency >= 4 ms": "'latency <= 3 ms' and 'latency >= 4 ms' contradict",
    "latency <= 0 ms": "the limit of 'latency' must be a finite number above zero",
    "latency <= -3 ms": "the limit of 'latency' must be a finite number above zero",
    "latency <= nan ms": "the limit of 'latency' must be a finite number above zero",
    "latency <= inf ms": "the limit of 'latency' must be a finite number above zero",
    "latency <= 1e999 ms": "the limit of 'latency' must be a finite number above zero",
    "latency <= 1e-999 ms": "the limit of 'latency' must be a finite number above zero",
    "latency <= 1e99999999999999999999999 ms": "must be a finite number above zero",
    "latency <= 3 ms [weight=-1]": "the weight of 'latency' must be zero or more",
    "latency <= 3 ms [weight=nan]": "the weight of 'latency' must be zero or more",
    "latency <= 3 ms [weight=inf]": "the weight of 'latency' must be zero or more",
    "latency <= 3 ms [confidence=0]": "the confidence of 'latency' must be between 0 and 1",
    "latency <= 3 ms [confidence=1]": "the confidence of 'latency' must be between 0 and 1",
    "latency <= 3 ms [confidence=95]": "the confidence of 'latency' must be between 0 and 1",
    "latency <= 3 ms [confidence=nan]": "the confidence of 'latency' must be between 0 and 1",
    "latency <= 3 ms [confidance=0.9]": "did you mean 'confidence'?",
    "latency <= 3 ms [weight=1, weight=1]": "'weight' is given twice",
    "latency <= 3 ms [weight=heavy]": "expected a number for 'weight'",
    "latency <= 3 ms [weight]": "expected '=' after 'weight'",
    "latency <= 3 ms []": "expected an option",
    "latency <= 3 ms [weight=1": "expected ',' or ']'",
    "latency < 3 ms": "expected <= or >= (in the budget, at character 9: '<')",
    "latency = 3 ms": "expected <= or >=",
    "latency ≤ 3 ms": "expected <= or >=",
    "latency": "expected <= or >= (in the budget, at the end)",
    "latency <= fast": "expected a number (in the budget, at character 12: 'fast')",
    "latency <= 3 ms,": "expected a metric (in the budget, at the end)",
    "latency <= 3 ms,, params <= 1": "expected a metric (in the budget, at character 17",
    "latency <= 3 ms params <= 1": "expected a comma between constraints",
    "latency <= 3,5 ms": "'latency' needs a unit",
}


@pytest.mark.parametrize("text", ERRORS)
def test_each_mistake_is_told_in_one_line(text: str) -> None:
    with pytest.raises(BudgetError) as caught:
        Budget.parse(text, metrics=["recall"], devices=["pixel6", "server"])
    assert ERRORS[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_place_of_a_mistake_is_named() -> None:
    with pytest.raises(BudgetError, match=r"at character 22: 'latensy'"):
        Budget.parse("params <= 3 M,       latensy <= 3 ms")
    with pytest.raises(BudgetError, match=r"at character 1: 'params <= -3 M'"):
        Budget.parse("params <= -3 M, macs <= 1")


def test_constraints_made_in_code_pass_the_same_checks() -> None:
    with pytest.raises(BudgetError, match="'MB' is not a unit of 'latency'"):
        Constraint("latency", None, "<=", 3.0, "MB")
    with pytest.raises(BudgetError, match="is not a comparison"):
        Constraint("latency", None, "<", 3.0, "ms")  # type: ignore[arg-type]
    one = Constraint("latency", None, "<=", 3.0, "ms")
    with pytest.raises(BudgetError, match="limited twice"):
        Budget((one, one))


def test_a_declared_metric_needs_to_be_declared() -> None:
    assert len(Budget.parse("val/top-5 >= 0.9", metrics=["val/top-5"])) == 1
    with pytest.raises(BudgetError, match="unknown metric"):
        Budget.parse("val/top-5 >= 0.9")


_positive = st.floats(min_value=1e-200, max_value=1e200, exclude_min=True)


@st.composite
def _constraints(draw: st.DrawFn) -> Constraint:
    metric = draw(st.sampled_from(list(METRICS.values())))
    device = draw(st.sampled_from([None, "pixel6", "cpu:0/int8", "größe-1"]))
    return Constraint(
        metric.name,
        device if metric.on_device else None,
        draw(st.sampled_from(["<=", ">="])),
        draw(_positive),
        draw(st.sampled_from(sorted(quantity_of(metric.name).units))),
        draw(st.floats(min_value=0, max_value=1, exclude_min=True, exclude_max=True)),
        draw(st.floats(min_value=0, max_value=1e6)),
    )


@given(st.lists(_constraints(), min_size=1, max_size=5, unique_by=lambda c: c.key))
def test_printing_and_parsing_give_the_same_budget(constraints: list[Constraint]) -> None:
    budget = Budget(tuple(constraints))
    assert Budget.parse(str(budget)) == budget


@given(st.text(alphabet="latencyprms@<>=,.[] 0123456789-eMµ\t", max_size=40))
def test_any_text_is_a_budget_or_a_budget_error(text: str) -> None:
    try:
        budget = Budget.parse(text)
    except BudgetError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert Budget.parse(str(budget)) == budget


def test_costs_of_ones_own() -> None:
    """Plain numbers; one that belongs to a device may be named with it, though none is measured."""
    own = ["size", "latency@note10", "heat@board"]
    budget = Budget.parse("size <= 5 k, latency@note10 <= 20 ms, heat@board <= 3", own, devices=[])
    assert [c.key for c in budget] == own
    assert [c.limit for c in budget] == [5000.0, 20.0, 3.0]
    for text, problem in (
        ("latency@pixel <= 1 ms", "unknown device 'pixel'"),
        ("sise <= 3", "did you mean 'size'"),
        ("heat <= 3 W", "'W' is a unit of power"),
    ):
        with pytest.raises(BudgetError, match=problem):
            Budget.parse(text, own, devices=[])
