"""The reward of Vertex's helper, every number checked."""

from __future__ import annotations

from hwnas.budget import Budget, Constraint, make_reward
from hwnas.errors import BudgetError


def compute_reward(
    accuracy: float,
    target_latency_or_flops: float,
    measured_latency_or_flops: float,
    target_memory: float = 0,
    measured_memory: float = 0,
    weight: float = 1,
    use_hard_limit: bool = True,
) -> float:
    """accuracy x (target / measured) ^ weight, for latency (or FLOPs) and, if limited, memory.

    With the hard limit a ratio above 1 counts as 1. The soft form is that of MnasNet (Tan et al.
    2019, section 3.1), whose exponent -0.07 is weight 0.07 here. Units are the caller's; target
    and measured value share one.

    Args:
        target_memory: 0 for no limit.

    Raises:
        BudgetError: a number is NaN, infinite or not a number, the accuracy or the weight negative,
            a target or a measured value not above zero.
    """
    costs = {"measured_latency_or_flops": measured_latency_or_flops}
    targets = {"measured_latency_or_flops": target_latency_or_flops}
    if target_memory != 0:
        costs["measured_memory"], targets["measured_memory"] = measured_memory, target_memory
    for name, value in [*costs.items(), *((f"the target of {k}", v) for k, v in targets.items())]:
        if not _is_number(value) or not value > 0:
            raise BudgetError(f"{name} is {value!r}; it must be a number above zero")
    if not _is_number(weight):
        raise BudgetError(f"weight is {weight!r}, not a number")
    limits = (Constraint(k, None, "<=", float(v), weight=float(weight)) for k, v in targets.items())
    reward = make_reward("hard" if use_hard_limit else "soft")
    return reward(accuracy, costs, Budget(tuple(limits)))


def _is_number(value: object) -> bool:
    from numbers import Real

    return isinstance(value, Real) and not isinstance(value, bool)


def as_reported(accuracy: float, costs: object, budget: object) -> float:
    """What a trainer of Vertex's protocol reports is the reward already."""
    return accuracy
