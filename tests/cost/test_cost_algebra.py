"""Minimum, maximum, expectation, sums and files of cost tables, against enumeration."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cost_spaces import mobilenetv3_like
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from hwnas.cost import CostTable, cost_tables
from hwnas.cost._feasible import quantile as quantiles
from hwnas.errors import CostError
from hwnas.space import Choice, FunctionSpace, ModelSpace, SearchSpace

sys.path.insert(0, str(Path(__file__).parents[1] / "space"))
from space_examples import INPUT, SPACES

SMALL = ["chain", "bench_cell", "darts", "transformer", "nested"]


def macs(name: str, metric: str = "macs") -> CostTable:
    cost = cost_tables(SPACES[name](), INPUT, [metric])[metric]
    assert isinstance(cost, CostTable)
    return cost


def identity(arch: dict[str, Any]) -> nn.Module:
    return nn.Identity()


@st.composite
def random_tables(draw: st.DrawFn) -> CostTable:
    """Sums of tables over conditional decisions; the values are whole numbers."""
    choices: list[Choice] = []
    for name in "abcdef"[: draw(st.integers(1, 6))]:
        when: Any = True
        for _ in range(draw(st.integers(0, 2)) if choices else 0):
            other = draw(st.sampled_from(choices))
            term = other == draw(st.sampled_from(other.values))
            when = term if when is True else (when & term if draw(st.booleans()) else when | term)
        choices.append(Choice(list(range(draw(st.integers(1, 3)))), label=name, when=when))
    space = FunctionSpace(choices, identity)
    tables: dict[tuple[int, ...], Any] = {(): np.array(float(draw(st.integers(-9, 9))))}
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    columns = st.integers(0, len(choices) - 1)
    for axes in draw(st.lists(st.sets(columns, min_size=1, max_size=3), max_size=5)):
        domain = [space.decisions[axis] for axis in sorted(axes)]
        shape = [len(d.choices) + (d.condition is not True) for d in domain]
        tables[tuple(sorted(axes))] = rng.integers(-20, 20, shape).astype(float)
    return CostTable("cost", space, tables)


def enumerated(cost: CostTable) -> tuple[list[Any], Any, Any]:
    """All archs, their costs one by one, and their probabilities in `decisions`."""
    space = cost.space
    archs = list(space.enumerate())
    weights = [np.prod([1 / len(space.decision(label).choices) for label in a]) for a in archs]
    return archs, np.array([cost(arch) for arch in archs]), np.array(weights)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(random_tables())
def test_random_tables(cost: CostTable) -> None:
    archs, values, weights = enumerated(cost)
    assert np.allclose(cost.evaluate(cost.space.encode(archs)), values)
    least, most = cost.minimum(), cost.maximum()
    assert least[0] == values.min() == cost(least[1])
    assert most[0] == values.max() == cost(most[1])
    assert np.isclose(cost.expectation({}).item(), weights @ values)
    twice = 3 * cost + cost + 5
    assert np.allclose([twice(arch) for arch in archs], 4 * values + 5)


@pytest.mark.parametrize("name", SMALL)
def test_minimum_and_maximum_are_those_of_all_archs(name: str) -> None:
    cost = macs(name)
    archs, _, _ = enumerated(cost)
    values = cost.evaluate(cost.space.encode(archs))
    for found, expected in ((cost.minimum(), values.min()), (cost.maximum(), values.max())):
        assert found[0] == expected
        cost.space.validate(found[1])
        assert cost(found[1]) == expected


@pytest.mark.parametrize("name", SMALL)
def test_expectation_and_gradient_are_those_of_the_enumerated_mean(name: str) -> None:
    cost = macs(name)
    archs, values, _ = enumerated(cost)
    torch.manual_seed(0)
    logits = {
        d.label: torch.randn(len(d.choices), dtype=torch.float64, requires_grad=True)
        for d in cost.space.decisions
    }

    def mean() -> torch.Tensor:
        probabilities = {label: row.softmax(0) for label, row in logits.items()}
        total = torch.zeros((), dtype=torch.float64)
        for arch, value in zip(archs, values.tolist(), strict=True):
            p = torch.ones((), dtype=torch.float64)
            for label, chosen in arch.items():
                p = p * probabilities[label][cost.space.decision(label).index(chosen)]
            total = total + p * value
        return total

    if len(archs) > 3000:
        archs, values = archs[:0], values[:0]
        expected = None
    else:
        expected = mean()
    found = cost.expectation({label: row.softmax(0) for label, row in logits.items()})
    if expected is None:
        return
    assert torch.isclose(found, expected)
    rows = list(logits.values())
    for mine, reference in zip(
        torch.autograd.grad(found, rows, allow_unused=True),
        torch.autograd.grad(expected, rows, allow_unused=True),
        strict=True,
    ):
        assert reference is not None
        assert torch.allclose(torch.zeros(()) if mine is None else mine, reference, atol=1e-6)


def test_each_row_of_probabilities_gets_a_gradient_of_its_own_type() -> None:
    cost = macs("chain")
    decisions = cost.space.decisions[:2]
    leaves = [
        torch.full((len(d.choices),), 1 / len(d.choices), dtype=dtype, requires_grad=True)
        for d, dtype in zip(decisions, (torch.float32, torch.float64), strict=True)
    ]
    rows = {d.label: leaf for d, leaf in zip(decisions, leaves, strict=True)}
    cost.expectation(rows).backward()
    assert [leaf.grad.dtype for leaf in leaves] == [torch.float32, torch.float64]
    assert all(leaf.grad.shape == leaf.shape and leaf.grad.any() for leaf in leaves)


def test_a_decision_that_is_certain_and_one_that_is_left_out() -> None:
    cost = macs("chain")
    one_hot = {"width": [0.0, 0.0, 1.0]}
    values = [cost({"width": 8, "conv1.kernel_size": k}) for k in (1, 3, 5)]
    assert cost.expectation(one_hot).item() == pytest.approx(np.mean(values))
    with pytest.raises(CostError, match="no decision"):
        cost.expectation({"nonsense": [1.0]})
    with pytest.raises(CostError, match="has 3 choices"):
        cost.expectation({"width": [0.5, 0.5]})


def test_a_large_space() -> None:
    space = mobilenetv3_like()
    cost = cost_tables(space, (1, 3, 224, 224), ["macs"])["macs"]
    assert isinstance(cost, CostTable)
    values = cost.evaluate(
        space.encode([space.sample(np.random.default_rng(i)) for i in range(500)])
    )
    least, most = cost.minimum()[0], cost.maximum()[0]
    assert least < values.min() < values.max() < most
    error = values.std() / len(values) ** 0.5
    assert abs(cost.expectation({}).item() - values.mean()) < 5 * error
    found = cost.quantile(0.3)
    assert abs((values <= found).mean() - 0.3) < 0.1
    assert found.upper - found.lower < 1e-3 * (most - least)


def true_quantile(values: Any, mass: Any, q: float) -> float:
    """The smallest value that at least a share q does not exceed."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(mass[order]) / mass.sum()
    return float(values[order][min(np.searchsorted(total, q - 1e-12), len(values) - 1)])


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(random_tables(), st.sampled_from([0.0, 0.05, 0.25, 0.5, 0.9, 1.0]), st.booleans())
def test_quantiles_of_both_distributions(cost: CostTable, q: float, many: bool) -> None:
    _, values, weights = enumerated(cost)
    for distribution, mass in (("decisions", weights), ("archs", np.ones(len(values)))):
        expected = true_quantile(values, mass, q)
        with pytest.MonkeyPatch.context() as patch:
            if many:  # As if the values were too many to keep apart.
                patch.setattr(quantiles, "_SUMS", 0)
                patch.setattr(quantiles, "_WORK", 20)
            found = cost.renamed("again").quantile(q, distribution)  # type: ignore[arg-type]
        assert found.lower <= expected <= found.upper
        assert found == found.upper
        if not many:
            assert (found, found.method) == (expected, "exact")
        assert pickle.loads(pickle.dumps(found)).method == found.method  # noqa: S301


def test_quantiles_of_costs_that_are_no_whole_numbers() -> None:
    cost = macs("nested") * 0.1
    _, values, weights = enumerated(cost)
    for q in (0.1, 0.5, 0.9):
        found = cost.quantile(q)
        expected = true_quantile(values, weights, q)
        assert found.lower <= expected <= found.upper <= found.lower + 1e-9 * values.max()


def test_a_quantile_where_decisions_hang_together_is_that_of_a_sample() -> None:
    cost = macs("chain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CostTable, "_quantile", lambda *_: None)
        found = cost.quantile(0.5)
    assert found.method == "sample"
    assert found.lower <= found <= found.upper
    with pytest.raises(CostError, match="between 0 and 1"):
        cost.quantile(2)
    with pytest.raises(CostError, match="no distribution"):
        cost.quantile(0.5, "uniform")  # type: ignore[arg-type]


def test_sums_of_metrics_and_of_other_spaces() -> None:
    space = SPACES["mobilenet"]()
    costs: Any = cost_tables(space, INPUT)
    total = costs["macs"] + 0.5 * costs["params"]
    arch = space.default()
    assert total(arch) == costs["macs"](arch) + 0.5 * costs["params"](arch)
    assert total.name == "macs+params"
    assert total.renamed("both").name == "both"
    with pytest.raises(CostError, match="different spaces"):
        costs["macs"] + macs("chain")


def test_tables_of_a_wrong_shape() -> None:
    space = SPACES["chain"]()
    for axes, shape in (((0,), (7,)), ((1, 0), (3, 3)), ((9,), (3,)), ((0, 0), (3, 3))):
        with pytest.raises(CostError, match="wrong shape"):
            CostTable("cost", space, {axes: np.zeros(shape)})


def test_a_table_is_saved_and_read(tmp_path: Path) -> None:
    cost = macs("mobilenet")
    path = tmp_path / "macs.npz"
    cost.save(path)
    again = CostTable.load(path, SPACES["mobilenet"]())
    assert (again.name, again.exact) == ("macs", True)
    rng = np.random.default_rng(0)
    archs = [cost.space.sample(rng) for _ in range(20)]
    assert [again(arch) for arch in archs] == [cost(arch) for arch in archs]
    assert again.minimum()[0] == cost.minimum()[0]
    with pytest.raises(CostError, match="another space"):
        CostTable.load(path, SPACES["chain"]())
    assert [p.name for p in tmp_path.iterdir()] == ["macs.npz"]


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with pytest.raises(CostError, match="no cost table"):
        CostTable.load(path, SPACES["chain"]())
    path.write_text("nothing")
    with pytest.raises(CostError, match="no cost table"):
        CostTable.load(path, SPACES["chain"]())
    with open(path, "wb") as file:
        np.savez(file, header=np.array(json.dumps({"format": 99})))
    with pytest.raises(CostError, match="no cost table"):
        CostTable.load(path, SPACES["chain"]())
    with open(path, "wb") as file:
        np.savez(file, header=np.array([{}], dtype=object))
    with pytest.raises(CostError, match="no cost table"):
        CostTable.load(path, SPACES["chain"]())


def test_a_table_goes_to_another_process() -> None:
    space: SearchSpace = ModelSpace(_Net)
    cost: Any = cost_tables(space, (1, 3), ["macs"])["macs"]
    again = pickle.loads(pickle.dumps(cost))  # noqa: S301 - what a process pool does
    assert again({"width": 4}) == cost({"width": 4}) == 12


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        from hwnas.space import nn as snn

        self.layer = snn.Linear(3, Choice([2, 4], label="width"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(x)
        return y
