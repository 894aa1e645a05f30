"""The arch that breaks limits the least, against enumeration."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_cost_algebra import random_tables
from test_cost_max_table import random_part

from hwnas.cost import CostTable, FeasibleSet, MaxTable


@settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
@given(random_tables(), st.integers(0, 2**32), st.integers(1, 4), st.booleans())
def test_the_least_violation_is_that_of_all_archs(
    first: CostTable, seed: int, count: int, wholes: bool
) -> None:
    space = first.space
    rng = np.random.default_rng(seed)
    archs = space.encode(list(space.enumerate()))
    limits: list[Any] = []
    for i in range(count):
        cost: Any = first
        if i:
            parts = [random_part(space, rng) for _ in range(int(rng.integers(1, 5)))]
            cost = rng.choice(np.array([MaxTable, CostTable], object))
            cost = cost(f"c{i}", space, parts if cost is MaxTable else parts[0])
        if not wholes:
            cost = cost * float(rng.random())
        values = cost.evaluate(archs)
        op = str(rng.choice(["<=", ">="]))
        spread = values.std() + 1
        edge = values.min() if op == "<=" else values.max()
        limits.append((cost, op, float(edge + rng.normal() * spread)))
    feasible = FeasibleSet(space, limits)
    found, arch = feasible.least_violation()
    expected = feasible.violation(archs).min()
    assert abs(found - expected) <= 1e-9 * max(1.0, expected)
    assert abs(feasible.violation(space.encode([arch]))[0] - expected) <= 1e-9 * max(1.0, expected)
