"""Tables held against networks that are built and traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from hwnas.cost import (
    STATIC_METRICS,
    Cost,
    CostTable,
    Counting,
    TracedCost,
    cost_tables,
    static_costs,
)
from hwnas.space import (
    ModelSpace,
    SearchSpace,
)


def assert_exact(
    space: SearchSpace, inputs: Any, costs: dict[str, Cost], archs: list[Any] | None = None
) -> None:
    if archs is None:
        rng = np.random.default_rng(0)
        archs = [space.sample(rng) for _ in range(12)]
    for arch in archs:
        built = static_costs(space.build(arch), inputs, costs, counting=Counting.nni())
        assert {name: cost(arch) for name, cost in costs.items()} == built, arch
    many = space.encode(archs)
    for cost in costs.values():
        assert cost.evaluate(many).tolist() == [cost(arch) for arch in archs]


def tables(space: SearchSpace, inputs: Any) -> dict[str, CostTable]:
    found: dict[str, Any] = {}
    for name, cost in cost_tables(space, inputs, STATIC_METRICS, counting=Counting.nni()).items():
        assert not isinstance(cost, TracedCost), f"{name}: {cost.reason}"
        found[name] = cost
    return found


def space_of(setup: Callable[[Any], None], forward: Callable[[Any, Tensor], Any]) -> ModelSpace:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            setup(self)

        def forward(self, x: Tensor) -> Any:
            return forward(self, x)

    return ModelSpace(Net)


def check_all(space: ModelSpace, inputs: Any = (2, 3, 8, 8)) -> dict[str, CostTable]:
    costs = tables(space, inputs)
    assert_exact(space, inputs, dict(costs), list(space.enumerate()))
    return costs
