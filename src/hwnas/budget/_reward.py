"""What a search maximises: accuracy, lowered (or raised) by how the costs keep the budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from hwnas import _refs
from hwnas.budget._budget import Budget
from hwnas.budget._constraint import Costs, at, checked, number
from hwnas.errors import BudgetError, UsageError

RewardFunction: TypeAlias = Callable[[float, Mapping[str, float], Budget], float]
"""A user's reward: `(accuracy, costs, budget) -> number`, more is better."""


class Reward(Protocol):
    """A number for an accuracy and the costs it was bought with; more is better.

    Members are pure: same arguments, same number. They return a finite float or raise.

    Raises:
        BudgetError: the accuracy, a cost or the result is not a number to judge by; the message
            begins with `where`.
    """

    @property
    def spec(self) -> str:
        """The text from which `make_reward` makes this reward again."""

    def __call__(self, accuracy: float, costs: Costs, budget: Budget, *, where: str = "") -> float:
        """The reward. Uncertain costs count at the bound that has to keep the limit."""


@dataclass(frozen=True)
class RatioReward:
    """accuracy x product over the constraints of (limit / cost) ^ weight.

    For a `>=` constraint the ratio is cost / limit. With `capped`, a ratio above 1 counts as 1:
    keeping a limit by more earns nothing (the hard limit). Without, it is the weighted product of
    MnasNet (Tan et al. 2019, section 3.1), whose exponent w = -0.07 is weight 0.07 here.
    """

    capped: bool

    @property
    def spec(self) -> str:
        """`hard` or `soft`."""
        return "hard" if self.capped else "soft"

    def __call__(self, accuracy: float, costs: Costs, budget: Budget, *, where: str = "") -> float:
        """The reward; see the class. `BudgetError` if the accuracy is negative."""
        accuracy = number(accuracy, "accuracy", where=where)
        if accuracy < 0:
            raise BudgetError(
                f"{at(where)}accuracy is {accuracy}; a ratio reward needs one of zero or more "
                "(a negative one would be rewarded for breaking the budget)"
            )
        factors = []
        for constraint in budget:
            ratio = constraint.ratio(costs, where=where)
            factors.append(_power(min(ratio, 1.0) if self.capped else ratio, constraint.weight))
        return number(accuracy * math.prod(factors), "reward", where=where)


def _power(ratio: float, weight: float) -> float:
    try:
        return float(ratio**weight)
    except OverflowError:
        return math.inf


@dataclass(frozen=True)
class CustomReward:
    """A user's function of (accuracy, costs, budget).

    It gets plain numbers: a constrained cost at the bound that has to keep its limit (of two, the
    one in greater danger), any other at its value.
    """

    function: RewardFunction
    spec: str

    def __call__(self, accuracy: float, costs: Costs, budget: Budget, *, where: str = "") -> float:
        """What the function returns, if it is a finite number."""
        accuracy = number(accuracy, "accuracy", where=where)
        numbers = {
            key: checked(costs, key, positive=False, where=where).value for key in costs
        } | budget.bounds(costs, where=where)
        try:
            result = self.function(accuracy, numbers, budget)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise BudgetError(f"{at(where)}the reward {self.spec} raised {reason}") from error
        return number(result, f"the reward of {self.spec}", where=where)


def make_reward(reward: str | RewardFunction) -> Reward:
    """The reward that a text or a user's function names.

    Args:
        reward: `hard` (or `ratio`, the same), `soft`, a reference `module:function` to a user's
            function of (accuracy, costs, budget), or such a function.

    Raises:
        UsageError: there is no such reward, or the reference names no function.
    """
    if not isinstance(reward, str):
        if isinstance(reward, RatioReward | CustomReward):
            return reward
        name = getattr(reward, "__name__", type(reward).__name__)
        return CustomReward(reward, _refs.name_of(reward) or str(name))
    if reward in ("hard", "ratio"):
        return RatioReward(capped=True)
    if reward == "soft":
        return RatioReward(capped=False)
    if ":" not in reward:
        raise UsageError(f"unknown reward '{reward}'; known: hard, soft, or module:function")
    function = _refs.load(reward)
    if not callable(function):
        raise UsageError(f"'{reward}' is not a function of (accuracy, costs, budget)")
    return CustomReward(function, reward)
