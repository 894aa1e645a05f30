"""Costs that are a maximum of sums of tables, and limits on them, against enumeration."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_cost_algebra import enumerated, identity, macs, random_tables, true_quantile
from test_cost_feasible import assert_distribution

from hwnas.cost import CostTable, FeasibleSet, MaxTable, RangeFilter, load_table
from hwnas.cost._tables import maxima
from hwnas.errors import ArchError, CostError
from hwnas.space import Choice, FunctionSpace, SearchSpace


def random_part(space: SearchSpace, rng: np.random.Generator) -> dict[tuple[int, ...], Any]:
    decisions = space.decisions
    part: dict[tuple[int, ...], Any] = {}
    for _ in range(int(rng.integers(1, 4))):
        count = int(rng.integers(0, min(3, len(decisions)) + 1))
        axes = tuple(sorted(rng.choice(len(decisions), count, replace=False).tolist()))
        shape = [len(decisions[a].choices) + (decisions[a].condition is not True) for a in axes]
        part[axes] = rng.integers(-9, 30, shape).astype(float)
    return part


@st.composite
def random_maxima(draw: st.DrawFn) -> tuple[MaxTable, CostTable, list[Any]]:
    """A maximum over a space with conditions, a sum over the same space, and what both are of."""
    cost = draw(random_tables())
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    parts = [random_part(cost.space, rng) for _ in range(draw(st.integers(1, 6)))]
    return MaxTable("peak", cost.space, parts), cost, parts


def reference(space: SearchSpace, parts: list[Any], archs: list[Any]) -> np.ndarray:
    rows = space.encode(archs).astype(int)
    sums = [
        sum(np.array([table[tuple(row[list(axes)])] for row in rows]) for axes, table in p.items())
        for p in parts
    ]
    return np.max(sums, axis=0)


@pytest.mark.parametrize("largest", [1, 1 << 16], ids=["sums", "one table each"])
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_maxima(largest: int, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maxima, "_JOINED", largest)
        cost, other, parts = data.draw(random_maxima())
    space = cost.space
    archs, more, _ = enumerated(other)
    values = reference(space, parts, archs)
    assert [cost(arch) for arch in archs] == values.tolist()
    assert (cost.evaluate(space.encode(archs)) == values).all()
    for (found, arch), expected in (
        (cost.minimum(), values.min()),
        (cost.maximum(), values.max()),
    ):
        assert found == expected == cost(arch)
    both = 2 * cost + other + 1
    assert np.allclose([both(arch) for arch in archs], 2 * values + more + 1)
    assert np.allclose([(other + cost)(arch) for arch in archs], values + more)

    if largest > 1:
        q = data.draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
        mass = [math.prod(1 / len(space.decision(n).choices) for n in a) for a in archs]
        for distribution, weights in (("decisions", np.array(mass)), ("archs", np.ones(len(mass)))):
            found = cost.quantile(q, distribution)  # type: ignore[arg-type]
            assert (found, found.method) == (true_quantile(values, weights, q), "exact")

    limit = float(data.draw(st.sampled_from(sorted(set(values.tolist()))))) + data.draw(
        st.sampled_from([-0.5, 0.0, 0.5])
    )
    for op in ("<=", ">="):
        keeps = values <= limit if op == "<=" else values >= limit
        limits: list[Any] = [(cost, op, limit)]
        if data.draw(st.booleans()):
            bound = float(np.median(more))
            limits.append((other, ">=", bound))
            keeps &= more >= bound
        if op == ">=" and any(len(p) > 1 and maxima.most(p) >= limit for p in cost.parts):
            assert largest == 1
            with pytest.raises(CostError, match="RangeFilter"):
                FeasibleSet(space, limits)
            continue
        feasible = FeasibleSet(space, limits)
        assert (feasible.keeps(space.encode(archs)) == keeps).all()
        count = feasible.count()
        assert (count.lower, count.upper) == (keeps.sum(), keeps.sum())
        assert feasible.is_empty() == (not keeps.any())
        violation, arch = feasible.least_violation()
        assert feasible.violation(space.encode([arch]))[0] == pytest.approx(violation)
        best = feasible.k_best(other, 3)
        assert [value for value, _ in best] == sorted(more[keeps].tolist())[::-1][:3]
        rng = np.random.default_rng(0)
        if not keeps.any():
            assert violation > 0
            with pytest.raises(CostError, match="no arch keeps"):
                feasible.draw(1, rng)
            continue
        assert violation == 0
        drawn = feasible.draw(5, rng, data.draw(st.sampled_from(["decisions", "archs"])))
        assert all(arch in feasible for arch in drawn)
        assert all(arch in feasible for arch in feasible.neighbours(drawn[0]))


def pairs(count: int = 6) -> MaxTable:
    """Neighbouring decisions hold memory together; an odd one is there only after a 2."""
    rng = np.random.default_rng(5)
    choices: list[Choice] = []
    for i in range(count):
        when: Any = True if i % 2 == 0 else choices[-1] != 0
        choices.append(Choice([0, 1, 2], label=f"d{i}", when=when))
    space = FunctionSpace(choices, identity)
    sizes = [len(d.choices) + (d.condition is not True) for d in space.decisions]
    parts = [
        {(i, i + 1): rng.integers(0, 50, sizes[i : i + 2]).astype(float)} for i in range(count - 1)
    ]
    return MaxTable("peak_activation_bytes", space, parts)


@pytest.mark.parametrize("distribution", ["decisions", "archs"])
def test_draws_under_a_maximum_follow_the_distribution(distribution: str) -> None:
    cost = pairs()
    space = cost.space
    archs, values, _ = enumerated(cost)
    limit = float(np.quantile(values, 0.4))
    feasible = FeasibleSet(space, [(cost, "<=", limit)])
    assert_distribution(feasible, distribution)
    assert feasible.acceptance == 1
    assert feasible.count().lower == (values <= limit).sum()
    rng = np.random.default_rng(0)
    total = CostTable(
        "sum", space, {(i,): rng.normal(size=n) for i, n in enumerate(cost.domain.sizes)}
    )
    bound = float(np.median(total.evaluate(space.encode(archs))))
    assert_distribution(
        FeasibleSet(space, [(cost, "<=", limit), (total, "<=", bound)]), distribution
    )
    assert_distribution(
        FeasibleSet(space, [(cost, ">=", limit), (total, "<=", bound)]), distribution
    )


def test_a_markov_chain_stays_below_a_maximum() -> None:
    cost = pairs()
    feasible = FeasibleSet(cost.space, [(cost, "<=", 40.0)])
    feasible.method = "markov chain"
    assert all(arch in feasible for arch in feasible.draw(5, np.random.default_rng(0)))


def test_a_range_of_a_maximum() -> None:
    cost = pairs()
    archs, values, _ = enumerated(cost)
    inside = RangeFilter(cost, 40, 45)
    assert [inside(arch) for arch in archs] == ((values >= 40) & (values <= 45)).tolist()
    count = FeasibleSet(cost.space, inside.limits).count()  # type: ignore[arg-type]
    assert count.lower == count.upper == ((values >= 40) & (values <= 45)).sum()


def test_parts_that_never_matter_are_left_out() -> None:
    space = FunctionSpace({"a": [0, 1], "b": [0, 1], "c": [0, 1]}, identity)
    cost = MaxTable(
        "peak",
        space,
        [
            {(0,): np.array([5.0, 7.0])},
            {(1,): np.array([1.0, 5.0])},
            {(1,): np.array([2.0, 6.0])},
            {(0, 1): np.array([[1.0, 1.0], [1.0, 9.0]])},
            {(2,): np.array([3.0, 1.0]), (1,): np.array([1.0, 1.0])},
        ],
    )
    assert [list(part) for part in cost.parts] == [[(0, 1)]]
    assert cost({"a": 0, "b": 1, "c": 0}) == 6
    assert cost.minimum()[0] == 5
    assert cost.maximum()[0] == 9


def test_a_maximum_is_saved_and_read(tmp_path: Path) -> None:
    cost = pairs()
    archs, values, _ = enumerated(cost)
    cost.save(tmp_path / "peak.npz")
    for again in (
        MaxTable.load(tmp_path / "peak.npz", cost.space),
        load_table(tmp_path / "peak.npz", cost.space),
        pickle.loads(pickle.dumps(cost.renamed("peak"))),  # noqa: S301 - what a process pool does
    ):
        assert isinstance(again, MaxTable)
        assert (again.evaluate(cost.space.encode(archs)) == values).all()
    with pytest.raises(CostError, match="holds a MaxTable, not a CostTable"):
        CostTable.load(tmp_path / "peak.npz", cost.space)
    sums = macs("chain")
    sums.save(tmp_path / "macs.npz")
    assert isinstance(load_table(tmp_path / "macs.npz", sums.space), CostTable)


def test_what_a_maximum_does_not_do() -> None:
    cost = pairs()
    space = cost.space
    with pytest.raises(CostError, match="no closed form"):
        cost.expectation({})
    with pytest.raises(CostError, match="neither a sum"):
        cost + cost
    with pytest.raises(CostError, match="would be none"):
        cost * -1
    with pytest.raises(CostError, match="different spaces"):
        cost + macs("chain")
    with pytest.raises(CostError, match="a maximum of nothing"):
        MaxTable("peak", space, [])
    with pytest.raises(CostError, match="wrong shape"):
        MaxTable("peak", space, [{(0,): np.zeros(4)}])
    with pytest.raises(CostError, match=r"over \(d0\) is not finite"):
        MaxTable("peak", space, [{(0,): np.array([1.0, math.nan, 2.0])}])
    with pytest.raises(CostError, match="no exact ranking"):
        FeasibleSet(space, []).k_best(cost, 1)  # type: ignore[arg-type]
    with pytest.raises(ArchError):
        cost({"d0": 0, "d1": 1})
    row = space.encode([space.sample(np.random.default_rng(0))])
    row[0, 0], row[0, 1] = 0, 1
    with pytest.raises(ArchError):
        cost.evaluate(row)
