"""Costs of the user's own in a search: asked once per arch, and found again on resume."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwnas import _refs
from hwnas._estimate import Estimate
from hwnas.cost import Cost, CostTable, MaxTable, load_costs
from hwnas.errors import JobError
from hwnas.predict import PredictedLatency

if TYPE_CHECKING:
    from hwnas.jobs._folder.job import Job
    from hwnas.space import SearchSpace, Value

OwnCost: TypeAlias = str | Cost | Callable[..., Any]
"""A reference, a cost, a factory of one or a function of an arch; see `hwnas.cost.load_cost`."""


_CERTAIN = (CostTable, MaxTable, PredictedLatency)
"""Costs that give the same number at each call, and soon."""


def own_costs(
    given: Iterable[OwnCost], space: SearchSpace, inputs: Sequence[int]
) -> tuple[dict[str, Cost], dict[str, str | None]]:
    """Costs by name, and the references by which a resume finds them: None where there is none.

    Raises:
        UsageError, CostError: see `hwnas.cost.load_costs`.
    """
    listed = list(given)
    costs = _loaded(listed, space, inputs)
    return costs, dict(zip(costs, map(_reference, listed), strict=True))


def resumed_costs(
    job: Job, given: Iterable[OwnCost], space: SearchSpace, inputs: Sequence[int]
) -> dict[str, Cost]:
    """The costs of a job: those that are given again, the others by their references.

    Raises:
        JobError: a cost was given as an object, and is not given again; or one is new.
    """
    again = _loaded(given, space, inputs)
    known = job.spec.costs
    left = {name: reference for name, reference in known.items() if name not in again}
    lost = [name for name, reference in left.items() if reference is None]
    if lost:
        raise JobError(
            f"the cost '{lost[0]}' of {job.where} was given as an object; give it again, from the "
            "program that made it: hwnas.search(..., resume=True, costs=[...])"
        )
    again |= _loaded([reference for reference in left.values() if reference], space, inputs)
    if other := sorted(again.keys() ^ known.keys()):
        raise JobError(f"{job.where} was started with other costs: '{other[0]}' is not in both")
    return again


def _loaded(given: Iterable[OwnCost], space: SearchSpace, inputs: Sequence[int]) -> dict[str, Cost]:
    costs = load_costs(given, space, inputs)
    return {
        name: cost if isinstance(cost, _CERTAIN) else _Remembered(cost)
        for name, cost in costs.items()
    }


def _reference(cost: OwnCost) -> str | None:
    if isinstance(cost, str):
        return cost
    return None if isinstance(cost, Cost) else _refs.name_of(cost)


class _Remembered(Cost):
    """A cost that is asked about an arch once, so that what it was proposed by is what is recorded.

    For costs that take long, or measure, and so give other numbers at another time.
    """

    def __init__(self, cost: Cost) -> None:
        self.name = cost.name
        self.space = cost.space
        self.exact = cost.exact
        self.relative_std = cost.relative_std
        self._ask = lru_cache(maxsize=100_000)(
            lambda row: cost.estimate(self.space.decode(np.array([row]))[0])
        )

    def __call__(self, arch: Mapping[str, Value]) -> float:
        """See `Cost`."""
        return self.estimate(arch).value

    def estimate(self, arch: Mapping[str, Value]) -> Estimate:
        """See `Cost`."""
        self.space.validate(arch)
        return self._ask(tuple(self.space.encode([arch])[0].tolist()))

    def estimates(
        self, encoded: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `Cost`."""
        told = [self._ask(tuple(row)) for row in encoded.tolist()]
        return np.array([e.value for e in told]), np.array([e.std for e in told])
