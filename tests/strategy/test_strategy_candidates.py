"""What may be proposed: drawn and mutated inside the limits, told apart from what may not."""

from __future__ import annotations

import math
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from hwnas.cost import CostTable, FunctionCost, RangeFilter, cost_tables
from hwnas.errors import CostError
from hwnas.space import Arch, FunctionSpace, SearchSpace
from hwnas.strategy import Candidates

sys.path.insert(0, str(Path(__file__).parents[1] / "cost"))
from test_cost_algebra import random_tables


def wide(decisions: int = 12) -> SearchSpace:
    return FunctionSpace({f"d{i}": [0, 1, 2, 3] for i in range(decisions)}, lambda a: nn.Identity())


def total(space: SearchSpace) -> CostTable:
    parts = [([d.label], lambda arch: float(sum(arch.values()))) for d in space.decisions]
    return CostTable.of("total", space, parts)


def asked(space: SearchSpace, calls: Counter[str] | None = None) -> FunctionCost:
    def function(arch: Arch) -> float:
        if calls is not None:
            calls["asked"] += 1
        return float(sum(arch.values()))

    return FunctionCost("asked", space, function)


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(random_tables(), st.integers(-40, 60), st.booleans(), st.integers(0, 9))
def test_samples_and_children_pass(cost: CostTable, limit: int, table: bool, seed: int) -> None:
    """On random spaces: whatever comes out passes, and the count is that of the enumeration."""
    space = cost.space
    given = cost if table else FunctionCost("f", space, cost)
    candidates = Candidates(space, [RangeFilter(given, max=limit)])
    inside = [arch for arch in space.enumerate() if cost(arch) <= limit]
    rng = np.random.default_rng(seed)
    worst, nearest = candidates.nearest(rng)
    assert (worst == 0) == (nearest in inside)
    if not inside:
        assert worst > 0
        return
    arch = candidates.sample(rng)
    assert arch in inside
    assert candidates.holds(arch)
    assert candidates.mutate(arch, rng) in inside
    assert candidates.mutate(space.sample(rng), rng) in inside
    assert [a for a in candidates.enumerable() or [] if candidates.holds(a)] == inside
    if table:
        assert candidates.count is not None
        assert candidates.count.lower <= len(inside) <= candidates.count.upper


def test_without_limits_nothing_changes() -> None:
    """The same chance gives the same arch as the space itself does."""
    space = wide()
    drawn, plain = (x.sample(np.random.default_rng(3)) for x in (Candidates(space), space))
    assert drawn == plain
    child, mutant = (x.mutate(plain, np.random.default_rng(4)) for x in (Candidates(space), space))
    assert child == mutant


def test_a_tight_table_needs_no_luck() -> None:
    """One arch in 4 ** 12 / 13 keeps the limit, and the list of all that do is complete."""
    space = wide()
    candidates = Candidates(space, [RangeFilter(total(space), max=1)])
    rng = np.random.default_rng(0)
    assert all(sum(candidates.sample(rng).values()) <= 1 for _ in range(20))
    assert candidates.count is not None
    assert candidates.count.exact
    assert candidates.count.upper == 13
    assert len(candidates.enumerable() or []) == 13


def test_a_tight_function_is_found_by_descent() -> None:
    """No draw passes; mutation towards the range does, and an empty range is told from a full."""
    space = wide()
    calls: Counter[str] = Counter()
    candidates = Candidates(space, [RangeFilter(asked(space, calls), max=2)])
    rng = np.random.default_rng(0)
    arch = candidates.sample(rng)
    assert sum(arch.values()) <= 2
    assert sum(candidates.mutate(arch, rng).values()) <= 2
    assert candidates.count is None
    none = Candidates(space, [RangeFilter(asked(space), max=-1)])
    with pytest.raises(CostError, match="no arch was found that keeps asked <= -1"):
        none.sample(rng)
    worst, arch = none.nearest(rng)
    assert worst == 1 + sum(arch.values())


def test_a_table_and_a_function_together() -> None:
    space = wide()
    odd = FunctionCost("odd", space, lambda arch: float(sum(arch.values()) % 2))
    candidates = Candidates(space, [RangeFilter(total(space), 5, 9), RangeFilter(odd, min=1)])
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert sum(candidates.sample(rng).values()) in (5, 7, 9)
        assert candidates.holds(candidates.mutate(space.sample(rng), rng))
    assert str(candidates) == "total <= 9 and total >= 5 and odd >= 1"


def test_a_cost_that_cannot_be_told_is_not_proposed() -> None:
    """An arch of which the cost raises is as good as over the limit."""
    space = wide(3)

    def function(arch: Arch) -> float:
        return math.nan if arch["d0"] else 1.0

    candidates = Candidates(space, [RangeFilter(FunctionCost("f", space, function), max=2)])
    rng = np.random.default_rng(0)
    assert all(candidates.sample(rng)["d0"] == 0 for _ in range(20))


def test_a_filter_of_another_space() -> None:
    with pytest.raises(CostError, match="another space"):
        Candidates(wide(3), [RangeFilter(total(wide(4)), max=2)])


def test_a_network_that_cannot_be_built_is_not_proposed() -> None:
    """The user's builder raises for some archs; the others are still searched."""

    def build(arch: Arch) -> nn.Module:
        if arch["width"] == 8:
            raise ValueError("no width 8")
        return nn.Linear(4, int(arch["width"]))

    space = FunctionSpace({"width": [4, 8, 16], "extra": [1, 2]}, build)
    params = cost_tables(space, (), ["params"])["params"]
    candidates = Candidates(space, [RangeFilter(params, max=60)])
    rng = np.random.default_rng(0)
    assert {candidates.sample(rng)["width"] for _ in range(20)} == {4}
