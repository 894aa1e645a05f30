"""What a network may cost: constraints with units, devices and confidence, and rewards.

`Budget.parse("latency@pixel6 <= 12 ms, params <= 3 M")` reads a budget; `Budget` says whether
costs keep it, by how much, and `make_reward` makes the number that a search maximises.
"""

from __future__ import annotations

from hwnas._estimate import Estimate
from hwnas.budget._budget import Budget
from hwnas.budget._constraint import Constraint, Cost, Costs
from hwnas.budget._reward import CustomReward, RatioReward, Reward, RewardFunction, make_reward
from hwnas.budget._units import format_number, format_value, unit_for, unit_size

__all__ = [
    "Budget",
    "Constraint",
    "Cost",
    "Costs",
    "CustomReward",
    "Estimate",
    "RatioReward",
    "Reward",
    "RewardFunction",
    "format_number",
    "format_value",
    "make_reward",
    "unit_for",
    "unit_size",
]
