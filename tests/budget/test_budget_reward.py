"""Rewards: the reference table, hard and soft limits, users' functions, refused numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas._estimate import Estimate
from hwnas.budget import Budget, Reward, make_reward
from hwnas.errors import BudgetError, UsageError

FLOPS = Budget.parse("flops <= 0.8 M")


@pytest.mark.parametrize(
    ("flops", "soft", "hard"),
    [(400_000, 1.9, 0.95), (1_600_000, 0.475, 0.475), (800_000, 0.95, 0.95)],
)
def test_the_reference_table(flops: int, soft: float, hard: float) -> None:
    assert make_reward("soft")(0.95, {"flops": flops}, FLOPS) == soft
    assert make_reward("hard")(0.95, {"flops": flops}, FLOPS) == hard
    assert make_reward("ratio")(0.95, {"flops": flops}, FLOPS) == hard


def test_a_lower_limit_turns_the_ratio_round() -> None:
    budget = Budget.parse("throughput >= 100 items/s")
    assert make_reward("soft")(0.5, {"throughput": 200}, budget) == 1.0
    assert make_reward("hard")(0.5, {"throughput": 200}, budget) == 0.5
    assert make_reward("hard")(0.5, {"throughput": 50}, budget) == 0.25


def test_each_constraint_has_its_own_weight() -> None:
    budget = Budget.parse("latency <= 10 ms [weight=2], flops <= 1 M [weight=0.5], params <= 1")
    costs = {"latency": 20, "flops": 4e6, "params": 0.5}
    assert make_reward("hard")(0.8, costs, budget) == pytest.approx(0.8 * 0.25 * 0.5)
    assert make_reward("soft")(0.8, costs, budget) == pytest.approx(0.8 * 0.25 * 0.5 * 2)


def test_weight_zero_takes_a_constraint_out_of_the_reward_only() -> None:
    budget = Budget.parse("latency <= 10 ms [weight=0]")
    assert make_reward("soft")(0.8, {"latency": 1000}, budget) == 0.8
    assert not budget.feasible({"latency": 1000})


def test_mnasnet_exponent() -> None:
    # Tan et al. 2019: ACC x (LAT / T) ^ -0.07; twice the latency costs about 5 % of the accuracy.
    budget = Budget.parse("latency <= 80 ms [weight=0.07]")
    value = make_reward("soft")(0.75, {"latency": 160}, budget)
    assert value == pytest.approx(0.75 * (160 / 80) ** -0.07)
    assert value / 0.75 == pytest.approx(0.9526, abs=1e-4)


def test_an_uncertain_cost_counts_at_its_bound() -> None:
    budget = Budget.parse("latency <= 10 ms")
    estimate = Estimate(10.0, 2.0)
    assert make_reward("hard")(1.0, {"latency": estimate}, budget) == pytest.approx(
        10 / estimate.quantile(0.95)
    )


def test_without_constraints_the_reward_is_the_accuracy() -> None:
    assert make_reward("hard")(0.7, {}, Budget()) == 0.7


@pytest.mark.parametrize("spec", ["hard", "soft"])
@pytest.mark.parametrize("accuracy", [-0.1, math.nan, math.inf, None, "0.9", True])
def test_an_accuracy_one_cannot_judge_by_is_refused(spec: str, accuracy: float) -> None:
    with pytest.raises(BudgetError, match=r"^trial 7: .*accuracy"):
        make_reward(spec)(accuracy, {"flops": 1}, FLOPS, where="trial 7")


@pytest.mark.parametrize("cost", [0, -1, math.nan, math.inf, None])
def test_a_cost_one_cannot_judge_by_is_never_a_reward(cost: float) -> None:
    for spec in ("hard", "soft", f"{__name__}:penalty"):
        reward = make_reward(penalty if ":" in spec else spec)
        with pytest.raises(BudgetError, match=r"^trial 7: 'flops'"):
            reward(0.9, {"flops": cost}, FLOPS, where="trial 7")
        with pytest.raises(BudgetError, match=r"^trial 7: no cost 'flops'"):
            reward(0.9, {}, FLOPS, where="trial 7")


@pytest.mark.parametrize("flops", [1e-300, 1.0])
def test_a_reward_that_overflows_is_refused(flops: float) -> None:
    budget = Budget.parse("flops <= 1e300 [weight=3]")
    with pytest.raises(BudgetError, match=r"^trial 7: 'reward' is inf"):
        make_reward("soft")(0.9, {"flops": flops}, budget, where="trial 7")


def penalty(accuracy: float, costs: Mapping[str, float], budget: Budget) -> float:
    """A user's reward."""
    return accuracy - 0.1 * budget.violation(costs) - 1e-9 * costs.get("params", 0)


def test_a_users_function_is_found_by_its_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_reward.py").write_text(
        "def gap(accuracy, costs, budget):\n"
        "    (limit,) = budget\n"
        "    return accuracy - costs['flops'] / limit.limit\n"
        "shape = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    reward = make_reward("my_reward:gap")
    assert reward.spec == "my_reward:gap"
    assert reward(0.9, {"flops": 400_000}, FLOPS) == pytest.approx(0.4)
    assert reward(-0.9, {"flops": 400_000}, FLOPS) == pytest.approx(-1.4)
    with pytest.raises(UsageError, match="not a function"):
        make_reward("my_reward:shape")
    with pytest.raises(UsageError, match="has no 'nothing'"):
        make_reward("my_reward:nothing")


def test_a_users_function_gets_plain_numbers_at_their_bounds() -> None:
    seen: dict[str, float] = {}

    def spy(accuracy: float, costs: Mapping[str, float], budget: Budget) -> float:
        seen.update(costs)
        return accuracy

    budget = Budget.parse("latency <= 10 ms, power >= 1 mW, power <= 3 mW")
    costs = {"latency": Estimate(9, 1), "power": Estimate(1.5, 0.1), "params": Estimate(0, 0)}
    assert make_reward(spy)(0.5, costs, budget) == 0.5
    assert seen == {
        "latency": Estimate(9, 1).quantile(0.95),
        "power": Estimate(1.5, 0.1).quantile(1 - 0.95),
        "params": 0.0,
    }


@pytest.mark.parametrize("result", [math.nan, math.inf, None, "good", 1j])
def test_what_a_users_function_returns_is_checked(result: float) -> None:
    reward = make_reward(lambda accuracy, costs, budget: result)
    with pytest.raises(BudgetError, match=r"^trial 7: 'the reward of <lambda>' is"):
        reward(0.9, {"flops": 1}, FLOPS, where="trial 7")


def test_an_unconstrained_cost_for_a_users_function_must_be_finite_too() -> None:
    with pytest.raises(BudgetError, match="'params' is nan"):
        make_reward(penalty)(0.9, {"flops": 1, "params": math.nan}, FLOPS)


def test_rewards_say_from_which_text_they_come() -> None:
    assert make_reward("hard").spec == make_reward("ratio").spec == "hard"
    assert make_reward("soft").spec == "soft"
    assert make_reward(penalty).spec == f"{__name__}:penalty"
    assert make_reward(make_reward("soft")).spec == "soft"


def test_an_unknown_reward_is_told_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown reward 'hart'; known: hard, soft, or module"):
        make_reward("hart")


_numbers = st.floats(min_value=1e-3, max_value=1e6)
_rewards = st.sampled_from([make_reward("hard"), make_reward("soft")])


@given(_rewards, st.floats(0, 1), st.floats(0, 1), _numbers, _numbers, st.floats(0, 2, width=16))
def test_more_accuracy_and_less_cost_never_hurt(
    reward: Reward, a: float, b: float, c: float, d: float, weight: float
) -> None:
    budget = Budget.parse(f"macs <= 100 [weight={weight!r}]")
    low, high = sorted([a, b])
    small, large = sorted([c, d])
    better = reward(high, {"macs": small}, budget)
    assert better >= reward(low, {"macs": small}, budget)
    assert better >= reward(high, {"macs": large}, budget)


@given(st.floats(0, 1), _numbers, _numbers)
def test_hard_never_exceeds_the_accuracy_nor_soft(a: float, macs: float, rate: float) -> None:
    budget = Budget.parse("macs <= 100, throughput >= 10 items/s")
    costs = {"macs": macs, "throughput": rate}
    hard, soft = (make_reward(spec)(a, costs, budget) for spec in ("hard", "soft"))
    assert 0 <= hard <= a
    assert hard <= soft or hard == pytest.approx(soft)
    if budget.feasible(costs):
        assert hard == a
