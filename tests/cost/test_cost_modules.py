"""Ordinary modules and functions inside a space: tables equal what PyTorch counts as they run."""

from __future__ import annotations

from typing import Any

import pytest
from cost_modules import ORDINARY, UNUSUAL, counted
from cost_spaces import around

from hwnas.cost import STATIC_METRICS, Counting, TracedCost, cost_tables, static_costs
from hwnas.space import ModelSpace

CASES = {**ORDINARY, **UNUSUAL}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", CASES)
def test_every_arch_is_exact(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    space, shape = around(CASES[name])
    with monkeypatch.context() as patch:
        patch.setattr(ModelSpace, "build", _refuse)
        costs: Any = cost_tables(space, shape, STATIC_METRICS, counting=Counting.nni())
    assert not any(isinstance(cost, TracedCost) for cost in costs.values())
    for arch in space.enumerate():
        model = space.build(arch)
        static = static_costs(model, shape, STATIC_METRICS, counting=Counting.nni())
        assert {metric: cost(arch) for metric, cost in costs.items()} == static
        real = counted(model, shape)
        assert {metric: static[metric] for metric in real} == real
        assert static["weight_bytes"] == 4 * real["params"]


def _refuse(self: ModelSpace, arch: object) -> None:
    raise AssertionError("a network was built: there is no table")


def test_there_are_53_ordinary_ones() -> None:
    assert len(ORDINARY) == 53
    assert not ORDINARY.keys() & UNUSUAL.keys()
