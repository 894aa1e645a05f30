"""Whether costs keep a budget, by how much, and which numbers are refused."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hwnas._estimate import Estimate
from hwnas.budget import Budget, make_reward
from hwnas.cost import FunctionCost
from hwnas.errors import BudgetError
from hwnas.space import FunctionSpace

BUDGET = Budget.parse("latency@pixel6 <= 10 ms, throughput >= 100 items/s")


def test_violations_are_fractions_of_the_limit() -> None:
    costs = {"latency@pixel6": 12.5, "throughput": 80.0}
    assert BUDGET.violations(costs) == {"latency@pixel6": 0.25, "throughput": 0.2}
    assert BUDGET.violation(costs) == 0.45
    assert BUDGET.margins(costs) == {"latency@pixel6": -0.25, "throughput": -0.2}
    assert not BUDGET.feasible(costs)


def test_a_kept_limit_has_a_margin_and_no_violation() -> None:
    costs = {"latency@pixel6": 7.5, "throughput": 150, "params": 3}
    assert BUDGET.violations(costs) == {"latency@pixel6": -0.25, "throughput": -0.5}
    assert BUDGET.violation(costs) == 0.0
    assert BUDGET.margins(costs) == {"latency@pixel6": 0.25, "throughput": 0.5}
    assert BUDGET.feasible(costs)


def test_the_limit_itself_is_kept() -> None:
    costs = {"latency@pixel6": 10, "throughput": 100}
    assert BUDGET.feasible(costs)
    assert set(BUDGET.margins(costs).values()) == {0.0}


def test_one_more_unit_in_the_last_place_is_too_much() -> None:
    over = {"latency@pixel6": math.nextafter(10, 11), "throughput": 100}
    under = {"latency@pixel6": 10, "throughput": math.nextafter(100, 0)}
    assert not BUDGET.feasible(over)
    assert not BUDGET.feasible(under)


def test_an_uncertain_cost_must_hold_at_the_confidence() -> None:
    budget = Budget.parse("latency <= 10 ms [confidence=0.9]")
    reach = NormalDist().inv_cdf(0.9)
    assert budget.feasible({"latency": Estimate(10 - reach - 1e-9, 1.0)})
    assert not budget.feasible({"latency": Estimate(10 - reach + 1e-9, 1.0)})
    costs = {"latency": Estimate(9.5, 1.0)}
    assert budget.violations(costs)["latency"] == pytest.approx((9.5 + reach - 10) / 10)
    assert budget.bounds(costs)["latency"] == pytest.approx(9.5 + reach)


def test_an_uncertain_cost_of_a_lower_limit_must_hold_at_the_lower_quantile() -> None:
    budget = Budget.parse("throughput >= 100 items/s")
    reach = NormalDist().inv_cdf(0.95)
    assert budget.feasible({"throughput": Estimate(100 + 10 * reach + 1e-9, 10.0)})
    assert not budget.feasible({"throughput": Estimate(100 + 10 * reach - 1e-9, 10.0)})
    assert budget.violations({"throughput": Estimate(100, 1e6)}) == {"throughput": 1.0}


def test_of_two_limits_on_one_cost_the_worse_counts() -> None:
    budget = Budget.parse("power >= 100 mW, power <= 200 mW")
    assert budget.violations({"power": 250}) == {"power": 0.25}
    assert budget.violations({"power": 75}) == {"power": 0.25}
    assert budget.violations({"power": 180}) == {"power": pytest.approx(-0.1)}
    assert budget.feasible({"power": 150})


def test_no_constraints_are_kept_by_everything() -> None:
    assert Budget().feasible({})
    assert Budget().violation({}) == 0
    assert list(Budget()) == []


BAD = {
    "zero": (0, "'latency' is 0; a cost must be above zero"),
    "zero float": (0.0, "'latency' is 0.0; a cost must be above zero"),
    "negative": (-1.5, "'latency' is -1.5; a cost must be above zero"),
    "nan": (math.nan, "'latency' is nan; it must be a finite number"),
    "infinite": (math.inf, "'latency' is inf; it must be a finite number"),
    "minus infinite": (-math.inf, "'latency' is -inf; it must be a finite number"),
    "too large": (10**400, "'latency' is inf; it must be a finite number"),
    "none": (None, "'latency' is None (NoneType), not a number"),
    "text": ("12 ms", "'latency' is '12 ms' (str), not a number"),
    "boolean": (True, "'latency' is True (bool), not a number"),
    "complex": (1j, "'latency' is 1j (complex), not a number"),
    "list": ([1.0], "'latency' is [1.0] (list), not a number"),
    "array": (np.ones(1), "(ndarray), not a number"),
    "estimate of nan": (Estimate(math.nan, 1), "'latency' is nan; it must be a finite number"),
    "estimate of zero": (Estimate(0, 1), "'latency' is 0; a cost must be above zero"),
    "std nan": (Estimate(1, math.nan), "'std of latency' is nan; it must be a finite number"),
    "std infinite": (Estimate(1, math.inf), "'std of latency' is inf"),
    "std negative": (Estimate(1, -1), "the standard deviation of 'latency' is negative (-1)"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_number_one_cannot_judge_by_is_refused(name: str) -> None:
    budget = Budget.parse("latency <= 12 ms")
    value, message = BAD[name]
    costs = {"latency": value}
    for judge in (budget.feasible, budget.violations, budget.violation, budget.margins):
        with pytest.raises(BudgetError) as caught:
            judge(costs, where="trial 7")  # type: ignore[arg-type]
        assert str(caught.value).startswith("trial 7: ")
        assert message in str(caught.value)


def test_a_missing_cost_is_named_with_those_given() -> None:
    costs = {"params": 3, "latency": 1.0}
    with pytest.raises(BudgetError, match=r"^trial 3: no cost 'latency@pixel6' .*latency, params$"):
        BUDGET.feasible(costs, where="trial 3")
    with pytest.raises(BudgetError, match=r"^no cost 'latency@pixel6' was given; given: none$"):
        BUDGET.feasible({})


def test_an_upper_limit_needs_a_quantile_above_zero() -> None:
    budget = Budget.parse("latency <= 12 ms [confidence=0.05]")
    with pytest.raises(BudgetError, match=r"the 0.05 quantile of 'latency' is -\d"):
        budget.feasible({"latency": Estimate(1.0, 5.0)})


def test_numpy_scalars_are_numbers() -> None:
    budget = Budget.parse("latency <= 2 ms, params <= 3")
    costs: Any = {"latency": np.float32(1.5), "params": np.int64(3)}
    assert budget.feasible(costs)


_numbers = st.floats(min_value=1e-6, max_value=1e9)


@given(limit=_numbers, cost=_numbers, std=st.floats(min_value=0, max_value=1e9))
def test_feasibility_violation_and_margin_agree(limit: float, cost: float, std: float) -> None:
    for op in ("<=", ">="):
        budget = Budget.parse(f"recall {op} {limit!r}", metrics=["recall"])
        costs = {"recall": Estimate(cost, std)}
        (violation,) = budget.violations(costs).values()
        (margin,) = budget.margins(costs).values()
        assert budget.feasible(costs) == (violation <= 0) == (margin >= 0)
        assert budget.violation(costs) == max(violation, 0)
        if std == 0:
            assert budget.feasible(costs) == (cost <= limit if op == "<=" else cost >= limit)


@given(cost=_numbers, std=_numbers, more=_numbers, low=st.floats(0.5, 0.98))
def test_doubt_and_confidence_only_ever_raise_the_violation(
    cost: float, std: float, more: float, low: float
) -> None:
    strict = Budget.parse("macs <= 1 M [confidence=0.99]")
    loose = Budget.parse(f"macs <= 1 M [confidence={low!r}]")
    sure, unsure = {"macs": Estimate(cost, std)}, {"macs": Estimate(cost, std + more)}
    assert strict.violation(sure) >= loose.violation(sure)
    assert strict.violation(unsure) >= strict.violation(sure)


def test_a_declared_metric_may_be_zero() -> None:
    """A recall of 0 early on is a plain violation, not an error; a cost of 0 stays one."""
    budget = Budget.parse("recall >= 0.5", metrics=["recall"])
    assert budget.violations({"recall": 0.0}) == {"recall": 1.0}
    assert make_reward("hard")(0.9, {"recall": 0.0}, budget) == 0.0
    below = Budget.parse("error <= 0.5", metrics=["error"])
    assert below.feasible({"error": 0.0})
    assert make_reward("hard")(0.9, {"error": 0.0}, below) == 0.9
    with pytest.raises(BudgetError, match="inf"):
        make_reward("soft")(0.9, {"error": 0.0}, below)


def test_limits_on_costs_as_filters() -> None:
    """One range for each limited cost that is given; they keep what the budget keeps."""
    space = FunctionSpace({"width": range(1, 9)}, lambda arch: nn.Linear(1, arch["width"]))
    own = FunctionCost("own", space, lambda arch: arch["width"])
    twice = FunctionCost("twice", space, lambda arch: 2 * arch["width"])
    budget = Budget.parse("own <= 6, own >= 2, twice <= 8, latency <= 1 ms", ["own", "twice"])
    filters = budget.filters({"own": own, "twice": twice, "unused": own})
    assert [(f.cost.name, f.min, f.max) for f in filters] == [
        ("own", 2, 6),
        ("twice", -math.inf, 8),
    ]
    limits = Budget(budget.constraints[:3])
    for arch in space.enumerate():
        costs = {"own": own(arch), "twice": twice(arch)}
        assert all(f(arch) for f in filters) == limits.feasible(costs)
