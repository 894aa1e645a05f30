"""Searches with limits on computed costs: no network is trained that breaks one."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

import hwnas
from hwnas.cost import cost_tables
from hwnas.errors import InfeasibleError
from hwnas.jobs import Observer
from hwnas.strategy import Candidates


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        sizes = [hwnas.Choice([4, 8, 16, 32, 64], label=f"width{i}") for i in range(4)]
        layers = [nn.Flatten()]
        for size, last in zip([*sizes, 10], [64, *sizes], strict=True):
            layers.append(hwnas.space.nn.Linear(last, size))
        self.body = nn.Sequential(*layers)

    def forward(self, x):
        return self.body(x)


def train(model, data, report, *, seed: int):
    size = sum(p.numel() for p in model.parameters())
    return {"accuracy": size / (size + 1000)}


def plain(arch: dict[str, int]) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, arch["width"]), nn.Linear(arch["width"], 10))


class Told(Observer):
    def __init__(self) -> None:
        self.candidates: Candidates | None = None
        self.phases: list[str] = []

    def limited(self, candidates: Candidates) -> None:
        self.candidates = candidates

    def phase(self, text: str) -> None:
        self.phases.append(text)


@pytest.mark.parametrize("strategy", ["random", "evolution", "tpe"])
def test_every_trial_keeps_a_tight_limit(tmp_path: Path, strategy: str) -> None:
    """One arch in twenty keeps it, and all that are trained; their counts are the tables."""
    space = hwnas.ModelSpace(Net)
    macs = cost_tables(space, (1, 1, 8, 8), ["macs"])["macs"]
    limit = macs.quantile(0.05)
    result = hwnas.search(
        space, train, input_shape=(1, 8, 8), budget=f"macs <= {limit}", trials=12,
        strategy=strategy, folder=tmp_path / "job",
    )  # fmt: skip
    assert [t.feasible for t in result.trials] == [True] * 12
    assert [t.costs["macs"].value for t in result.trials] == [macs(t.arch) for t in result.trials]
    if strategy == "random":
        chance = hwnas.search(space, train, trials=12, strategy="random", folder=tmp_path / "free")
        assert sum(macs(t.arch) <= limit for t in chance.trials) <= 3


def test_a_search_ends_when_all_that_keeps_the_limits_is_tried(tmp_path: Path) -> None:
    """Two limits leave three archs, and three are trained; the observer is told of both."""
    space = hwnas.FunctionSpace({"width": [4, 8, 12, 16, 20]}, plain)
    told = Told()
    result = hwnas.search(
        space, train, budget="params >= 500, params <= 1300", trials=9,
        folder=tmp_path / "job", observer=told,
    )  # fmt: skip
    assert sorted(t.arch["width"] for t in result.trials) == [8, 12, 16]
    assert told.candidates is not None
    assert told.candidates.count is not None
    assert told.candidates.count.upper == 3
    assert told.phases == ["every arch of the space that keeps the limits has been tried (3)"]
    again = hwnas.search(space, train, trials=12, folder=tmp_path / "job", resume=True)
    assert len(again.trials) == 3


def test_costs_that_are_no_tables_are_kept_too(tmp_path: Path) -> None:
    """A space of functions is built and counted arch by arch; the reason is told."""
    space = hwnas.FunctionSpace({"width": list(range(4, 44, 4)), "extra": list(range(10))}, plain)
    told = Told()
    result = hwnas.search(
        space, train, budget="params <= 400", trials=5, folder=tmp_path / "job", observer=told
    )
    assert [t.arch["width"] for t in result.trials] == [4] * 5
    assert told.candidates is not None
    (filter_,) = told.candidates.asked
    assert "no template" in filter_.cost.reason


def test_an_empty_set_is_told_before_anything_is_written(tmp_path: Path) -> None:
    """Of one limit, of two that cannot hold together, and of costs that are no tables."""
    small = hwnas.FunctionSpace({"width": [4, 8, 12, 16]}, plain)
    large = hwnas.FunctionSpace({"width": list(range(4, 400, 4))}, plain)
    for space, budget, text in (
        (small, "params <= 100", r"no arch keeps 'params <= 100'; the nearest has params 310: wid"),
        (small, "params >= 400, params <= 500", r"params >= 400, params <= 500.*the nearest has"),
        (large, "params <= 100", r"no arch was found that keeps .*params 310: width=4"),
    ):
        with pytest.raises(InfeasibleError, match=text) as caught:
            hwnas.search(space, train, budget=budget, folder=tmp_path / "job")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "job").exists()
