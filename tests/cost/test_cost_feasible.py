"""Sets of archs under limits: counts, draws, rankings and mutations against enumeration."""

from __future__ import annotations

import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cost_spaces import mobilenetv3_like
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_cost_algebra import SMALL, enumerated, macs, random_tables
from torch import nn

from hwnas.cost import CostTable, FeasibleSet, cost_tables
from hwnas.errors import ArchError, CostError
from hwnas.space import Choice, FunctionSpace
from hwnas.zoo import load_space

sys.path.insert(0, str(Path(__file__).parents[1] / "space"))
from space_examples import INPUT, SPACES


def chi_square(found: Counter[Any], expected: dict[Any, float]) -> float:
    """The statistic in standard deviations above its mean; cells of less than 5 are pooled."""
    rare = [key for key, value in expected.items() if value < 5]
    cells = [(found[key], value) for key, value in expected.items() if value >= 5]
    if rare:
        cells.append((sum(found[key] for key in rare), sum(expected[key] for key in rare)))
    assert all(key in expected for key in found)
    if len(cells) < 2:
        return 0.0
    statistic = sum((seen - mean) ** 2 / mean for seen, mean in cells if mean > 0)
    freedom = len(cells) - 1
    return float((statistic - freedom) / math.sqrt(2 * freedom))


def key(arch: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted(arch.items()))


def assert_distribution(feasible: FeasibleSet, distribution: Any, draws: int = 4000) -> None:
    cost = feasible.limits[0][0]
    archs, _, weights = enumerated(cost)
    inside = feasible.keeps(cost.space.encode(archs))
    mass = np.where(inside, weights if distribution == "decisions" else 1.0, 0.0)
    mass *= draws / mass.sum()
    drawn = feasible.draw(draws, np.random.default_rng(0), distribution)
    found = Counter(map(key, drawn))
    expected = {key(a): m for a, m, i in zip(archs, mass.tolist(), inside, strict=True) if i}
    assert chi_square(found, expected) < 5


@pytest.mark.parametrize("distribution", ["decisions", "archs"])
@pytest.mark.parametrize("name", SMALL)
def test_draws_follow_the_distribution(name: str, distribution: str) -> None:
    cost = macs(name)
    _, values, _ = enumerated(cost)
    feasible = FeasibleSet(cost.space, [(cost, "<=", float(np.quantile(values, 0.3)))])
    assert_distribution(feasible, distribution)
    assert feasible.acceptance is not None
    assert feasible.acceptance > 0.9
    both = FeasibleSet(
        cost.space,
        [
            (cost, "<=", float(np.quantile(values, 0.6))),
            (cost, ">=", float(np.quantile(values, 0.2))),
        ],
    )
    assert_distribution(both, distribution)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(random_tables(), st.integers(-40, 60), st.sampled_from(["<=", ">="]), st.data())
def test_random_sets(cost: CostTable, limit: int, op: Any, data: st.DataObject) -> None:
    space = cost.space
    archs, values, _ = enumerated(cost)
    inside = values <= limit if op == "<=" else values >= limit
    feasible = FeasibleSet(space, [(cost, op, limit)])
    count = feasible.count()
    assert (count.lower, count.upper) == (inside.sum(), inside.sum())
    assert feasible.is_empty() == (not inside.any())
    violation, arch = feasible.least_violation()
    assert violation == pytest.approx(feasible.violation(space.encode(archs)).min())
    assert feasible.violation(space.encode([arch]))[0] == pytest.approx(violation)
    rng = np.random.default_rng(0)
    if not inside.any():
        with pytest.raises(CostError, match="no arch keeps"):
            feasible.draw(1, rng)
        assert feasible.k_best(cost, 3) == []
        return
    drawn = feasible.draw(5, rng, data.draw(st.sampled_from(["decisions", "archs"])))
    assert all(arch in feasible for arch in drawn)
    score = cost * -1 + 3
    for highest in (True, False):
        best = feasible.k_best(score, 4, highest=highest)
        expected = sorted((3 - values[inside]).tolist(), reverse=highest)[:4]
        assert [value for value, _ in best] == expected
        assert all(score(arch) == value and arch in feasible for value, arch in best)
    near = feasible.neighbours(drawn[0])
    assert all(arch in feasible and arch != drawn[0] for arch in near)
    if near:
        child = feasible.mutate(drawn[0], rng)
        assert child in feasible
        assert child != drawn[0]
    else:
        with pytest.raises(CostError):
            feasible.mutate(drawn[0], rng)


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(random_tables(), st.integers(0, 2**32))
def test_random_sets_of_two_costs_that_are_no_whole_numbers(cost: CostTable, seed: int) -> None:
    space = cost.space
    rng = np.random.default_rng(seed)
    other = CostTable(
        "other", space, {axes: rng.normal(size=table.shape) for axes, table in cost.tables.items()}
    )
    archs, values, _ = enumerated(cost)
    more = np.array([other(arch) for arch in archs])
    limits = float(np.median(values)), float(np.median(more))
    inside = (values <= limits[0]) & (more >= limits[1])
    feasible = FeasibleSet(space, [(cost, "<=", limits[0]), (other, ">=", limits[1])])
    count = feasible.count()
    assert count.lower <= inside.sum() <= count.upper
    if inside.any():
        drawn = feasible.draw(20, rng)
        assert feasible.keeps(space.encode(drawn)).all()
        best = feasible.k_best(other, 3)
        assert [v for v, _ in best] == pytest.approx(sorted(more[inside].tolist())[::-1][:3])
        assert feasible.least_violation()[0] == 0
    else:
        with pytest.raises(CostError):
            feasible.draw(1, rng)


def test_counts_of_a_benchmark_cell_equal_enumeration() -> None:
    cost = macs("bench_cell")
    values = cost.evaluate(cost.space.encode(list(cost.space.enumerate())))
    for q in (0.01, 0.1, 0.35, 0.6, 0.99):
        limit = float(np.quantile(values, q))
        count = FeasibleSet(cost.space, [(cost, "<=", limit)]).count()
        assert count.exact
        assert count.lower == (values <= limit).sum()


def test_counts_of_nas_bench_201_equal_enumeration() -> None:
    space = load_space("nasbench201")
    cost: Any = cost_tables(space, (1, 3, 32, 32), ["macs"])["macs"]
    values = cost.evaluate(space.encode(list(space.enumerate())))
    assert len(values) == 15_625
    low, high = cost.minimum()[0], cost.maximum()[0]
    for share in (0.05, 0.2, 0.4, 0.6, 0.9):
        limit = low + share * (high - low)
        count = FeasibleSet(space, [(cost, "<=", limit)]).count()
        assert count.lower == count.upper == (values <= limit).sum()


@pytest.mark.parametrize("distribution", ["decisions", "archs"])
def test_draws_under_two_costs_follow_the_distribution(distribution: str) -> None:
    space = SPACES["nested"]()
    costs: Any = cost_tables(space, INPUT, ["macs", "params"])
    limits = [(costs[name], "<=", costs[name].quantile(0.6)) for name in ("macs", "params")]
    feasible = FeasibleSet(space, limits)
    assert_distribution(feasible, distribution)
    assert feasible.acceptance is not None
    assert feasible.acceptance >= 0.95


def test_two_limits_count_exactly_where_costs_are_small() -> None:
    space = SPACES["nested"]()
    costs: Any = cost_tables(space, INPUT, ["macs", "params"])
    archs = space.encode(list(space.enumerate()))
    first, second = costs["macs"].evaluate(archs), costs["params"].evaluate(archs)
    limits = float(np.median(first)), float(np.median(second))
    feasible = FeasibleSet(
        space, [(costs["macs"], "<=", limits[0]), (costs["params"], ">=", limits[1])]
    )
    count = feasible.count()
    assert count.lower <= ((first <= limits[0]) & (second >= limits[1])).sum() <= count.upper


def test_a_large_space_under_a_tight_limit() -> None:
    space = mobilenetv3_like()
    cost: Any = cost_tables(space, (1, 3, 224, 224), ["macs"])["macs"]
    limit = cost.quantile(0.05)
    feasible = FeasibleSet(space, [(cost, "<=", limit)])
    assert feasible.method == "dynamic program"
    drawn = feasible.draw_encoded(500, np.random.default_rng(0))
    assert len(drawn) == 500
    assert (cost.evaluate(drawn) <= limit).all()
    assert feasible.acceptance is not None
    assert feasible.acceptance >= 0.95
    count = feasible.count()
    assert 0 < count.lower <= count.upper < 1.1 * count.lower
    # The share of the set in `archs` is that of plain draws of `archs`.
    free = FeasibleSet(space, []).draw_encoded(20_000, np.random.default_rng(1), "archs")
    share = (cost.evaluate(free) <= 2 * limit).mean()
    wide = FeasibleSet(space, [(cost, "<=", 2 * limit)]).count()
    assert abs(wide.upper / space.size() - share) < 0.02
    rng = np.random.default_rng(2)
    arch = space.decode(drawn[:1])[0]
    for _ in range(20):
        arch = feasible.mutate(arch, rng)
        assert arch in feasible
    # Below the smallest cost there is nothing, and that is known at once.
    least = cost.minimum()[0]
    nothing = FeasibleSet(space, [(cost, "<=", least - 1)])
    assert nothing.is_empty()
    assert nothing.count().upper == 0
    assert nothing.least_violation()[0] == pytest.approx(1 / (least - 1))
    with pytest.raises(CostError, match=r"no arch keeps macs <= .* \(the best arch has"):
        nothing.draw(1, rng)
    only = FeasibleSet(space, [(cost, "<=", least)]).draw(3, rng)
    assert all(cost(arch) == least for arch in only)


def test_mutations_reach_every_neighbour() -> None:
    cost = macs("nested")
    _, values, _ = enumerated(cost)
    feasible = FeasibleSet(cost.space, [(cost, "<=", float(np.quantile(values, 0.7)))])
    rng = np.random.default_rng(0)
    arch = feasible.draw(1, rng)[0]
    children = {key(feasible.mutate(arch, rng)) for _ in range(400)}
    assert {key(n) for n in feasible.neighbours(arch)} <= children


def test_a_neighbour_keeps_what_is_taken_again() -> None:
    a = Choice([0, 1], label="a")
    d = Choice([0, 1], label="d", when=a == 1)
    c = Choice([0, 1], label="c", when=(a == 0) | (d == 1))
    space = FunctionSpace([a, d, c], lambda arch: nn.Identity())
    inside = [{"a": 0, "c": 0}, {"a": 1, "d": 1, "c": 1}]
    cost = CostTable.of("cost", space, [(["a", "d", "c"], lambda arch: float(arch not in inside))])
    feasible = FeasibleSet(space, [(cost, "<=", 0.0)])
    assert feasible.count().lower == 2
    # With a = 1 the decision c is taken only if d is 1, and it keeps its value then.
    assert feasible.neighbours(inside[0]) == []


class TestMarkovChain:
    """A space in which every decision is tied to every other."""

    @pytest.fixture
    def cost(self) -> CostTable:
        space = FunctionSpace(
            {f"d{i:02}": [0, 1, 2] for i in range(20)}, lambda arch: nn.Identity()
        )
        rng = np.random.default_rng(0)
        pairs = {
            (i, j): rng.integers(0, 10, (3, 3)).astype(float)
            for i in range(20)
            for j in range(i + 1, 20)
        }
        return CostTable("cost", space, pairs)

    def test_it_says_so_and_stays_inside(self, cost: CostTable) -> None:
        feasible = FeasibleSet(cost.space, [(cost, "<=", 800.0)])
        assert feasible.method == "markov chain"
        assert "cells" in feasible.reason
        with pytest.raises(CostError, match="cannot be counted"):
            feasible.count()
        drawn = feasible.draw(3, np.random.default_rng(0))
        assert all(arch in feasible for arch in drawn)
        assert not feasible.is_empty()
        with pytest.raises(CostError, match="was found"):
            FeasibleSet(cost.space, [(cost, "<=", -1.0)]).draw(1, np.random.default_rng(0))

    def test_it_follows_the_distribution_in_the_long_run(self) -> None:
        cost = macs("nested")
        _, values, _ = enumerated(cost)
        for distribution in ("decisions", "archs"):
            feasible = FeasibleSet(cost.space, [(cost, "<=", float(np.quantile(values, 0.5)))])
            feasible.method = "markov chain"
            means = []
            for method in ("markov chain", "dynamic program"):
                feasible.method = method  # type: ignore[assignment]
                rows = feasible.draw_encoded(150, np.random.default_rng(0), distribution)  # type: ignore[arg-type]
                assert feasible.keeps(rows).all()
                means.append(cost.evaluate(rows).mean())
            assert abs(means[0] - means[1]) < 0.15 * means[1]


def test_what_makes_no_sense_is_an_error() -> None:
    cost, other = macs("chain"), macs("nested")
    with pytest.raises(CostError, match="another space"):
        FeasibleSet(cost.space, [(other, "<=", 3.0)])
    for op, limit in (("<", 3.0), ("<=", math.nan)):
        with pytest.raises(CostError, match="is no limit"):
            FeasibleSet(cost.space, [(cost, op, limit)])  # type: ignore[list-item]
    feasible = FeasibleSet(cost.space, [(cost, "<=", 1e9)])
    with pytest.raises(CostError, match="no distribution"):
        feasible.draw(1, np.random.default_rng(0), "uniform")  # type: ignore[arg-type]
    with pytest.raises(ArchError):
        assert {"width": 4} in feasible
    assert feasible.count().lower == cost.space.size()
    assert str(feasible.count()) == "9"
