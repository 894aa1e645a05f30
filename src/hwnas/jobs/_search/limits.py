"""The limits of a budget that hold before anything is trained: those on computed costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hwnas.errors import CostError, InfeasibleError
from hwnas.jobs._records.view import budget_of

if TYPE_CHECKING:
    from hwnas.budget import Budget
    from hwnas.cost import Cost
    from hwnas.jobs._folder.spec import JobSpec
    from hwnas.space import Arch, SearchSpace
    from hwnas.strategy import Candidates


def candidates_of(spec: JobSpec, space: SearchSpace, own: Mapping[str, Cost]) -> Candidates:
    """What a job may propose: the archs that keep the budget's limits on computed costs.

    A train job trains what was chosen.

    Args:
        own: the user's costs by name.

    Raises:
        InfeasibleError: there is no such arch, or none was found; the message has the nearest.
        CostError: a cost cannot be computed for any arch.
    """
    from hwnas.strategy import Candidates

    if spec.parent is not None:
        return Candidates(space)
    budget = budget_of(spec)
    costs = {**own, **_computed(spec, space, {constraint.key for constraint in budget})}
    candidates = Candidates(space, budget.filters(costs))
    worst, arch = candidates.nearest(np.random.default_rng(0))
    if worst > 0:
        raise InfeasibleError(_nothing(budget, costs, candidates, arch))
    return candidates


def _computed(spec: JobSpec, space: SearchSpace, keys: set[str]) -> Mapping[str, Cost]:
    from hwnas.cost import STATIC_METRICS, cost_tables

    wanted = [name for name in STATIC_METRICS if name in keys]
    if not wanted:
        return {}
    inputs = (1, *spec.input_shape) if spec.input_shape else ()
    return cost_tables(space, inputs, wanted, counting=spec.counting)


def _nothing(budget: Budget, costs: Mapping[str, Cost], candidates: Candidates, arch: Arch) -> str:
    from hwnas.budget import format_value

    limits = [constraint for constraint in budget if constraint.key in costs]
    try:
        bounds = [costs[c.key].estimate(arch).quantile(c.quantile) for c in limits]
        facts = [
            f"{c.key} {format_value(c.key, bound, c.unit)}"
            for c, bound in zip(limits, bounds, strict=True)
        ]
    except CostError as error:
        facts = [str(error)]
    keeps = "was found that keeps" if candidates.asked else "keeps"
    return (
        f"no arch {keeps} '{', '.join(map(str, limits))}'; the nearest has "
        f"{', '.join(dict.fromkeys(facts))}: "
        + ", ".join(f"{label}={value}" for label, value in arch.items())
    )
