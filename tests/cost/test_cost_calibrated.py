"""Profiles that a few whole networks correct, and costs that say how uncertain they are."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cost_devices import Small, TableDevice, by_size
from torch import nn

from hwnas.budget import Budget
from hwnas.cost import CostTable, FilteredSet, calibrated, load_cost, profile_space
from hwnas.device import Calibration, MeasurementStore
from hwnas.errors import BudgetError, CostError
from hwnas.space import ModelSpace

IMAGE = (1, 3, 6, 6)


def whole(module: nn.Module, inputs: Any) -> float:
    """A network takes 0.5 ms and 0.8 times what its parts take by themselves."""
    if not isinstance(module, Small):
        return by_size(module, inputs)
    found: list[float] = []
    parts = [module.stem, *module.blocks, module.again, module.pool, module.head]
    hooks = [
        part.register_forward_hook(lambda part, given, _: found.append(by_size(part, given)))
        for part in parts
        if not isinstance(part, nn.Identity)
    ]
    with torch.no_grad():
        module(*inputs)
    for hook in hooks:
        hook.remove()
    return 0.5 + 0.8 * sum(found)


@pytest.fixture(scope="module")
def space() -> ModelSpace:
    return ModelSpace(Small)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MeasurementStore]:
    with MeasurementStore(tmp_path / "store.sqlite") as one:
        yield one


def test_a_line_is_found_and_put_into_the_table(space, store, tmp_path: Path) -> None:
    device = TableDevice(whole)
    plain = profile_space(space, IMAGE, device, store=store)
    profile = calibrated(plain, device, 6, store=store)
    line = profile.calibration
    assert line is not None
    assert (line.offset, line.slope) == pytest.approx((0.5, 0.8))
    assert line.error < 1e-6
    assert line.baseline is not None
    assert line.baseline.error > 0.01
    for arch in space.enumerate():
        truth = whole(space.build(arch).eval(), (torch.zeros(IMAGE),))
        assert profile.table(arch) == pytest.approx(truth)
    assert sum(isinstance(module, Small) for module in device.seen) == 6
    calibrated(plain, device, 6, store=store)
    assert sum(isinstance(module, Small) for module in device.seen) == 6  # Found in the store.
    profile.save(tmp_path / "table.npz")
    assert Calibration.load(tmp_path / "table.calibration.json") == line
    with pytest.raises(CostError, match="calibrated already"):
        calibrated(profile, device, 6, store=store)


def test_what_the_line_does_not_explain_is_the_deviation(space, store, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def noisy(module: nn.Module, inputs: Any) -> float:
        factor = 1 + 0.05 * rng.standard_normal() if isinstance(module, Small) else 1.0
        return float(factor * whole(module, inputs))

    device = TableDevice(noisy)
    profile = calibrated(profile_space(space, IMAGE, device, store=store), device, store=store)
    assert 0.02 < profile.table.relative_std < 0.15
    arch = space.default()
    estimate = profile.table.estimate(arch)
    assert estimate.std == profile.table.relative_std * estimate.value
    profile.save(tmp_path / "table.npz")
    again = load_cost(f"latency@board={tmp_path / 'table.npz'}", space)
    assert again.relative_std == profile.table.relative_std


def table(space: ModelSpace) -> CostTable:
    return CostTable.of("latency", space, [(["width"], lambda arch: float(arch["width"]))])


def test_the_deviation_is_kept_through_arithmetic(space) -> None:
    cost = table(space).uncertain(0.1)
    for other in (cost * 2, cost + 1, cost.renamed("x"), cost + table(space)):
        assert other.relative_std == 0.1
    assert copy.deepcopy(cost).relative_std == 0.1
    with pytest.raises(CostError, match="standard deviation"):
        table(space).uncertain(-1.0)


@pytest.mark.parametrize("text", ["latency <= 4.5 ms", "latency <= 4.5 ms [confidence=0.6]"])
def test_budgets_judge_an_uncertain_table_at_their_confidence(space, text: str) -> None:
    """What is drawn under a limit is what the budget calls feasible, whatever is drawn."""
    cost = table(space).uncertain(0.1)
    budget = Budget.parse(text)
    filtered = FilteredSet(space, budget.filters({"latency": cost}))
    archs = list(space.enumerate())
    keeps = filtered.keeps(space.encode(archs))
    for arch, kept in zip(archs, keeps, strict=True):
        assert kept == budget.feasible({"latency": cost.estimate(arch)})
    widths = {arch["width"] for arch, kept in zip(archs, keeps, strict=True) if kept}
    assert widths == ({2, 4} if "0.6" in text else {2})


def test_a_cost_too_uncertain_for_a_lower_limit(space) -> None:
    with pytest.raises(BudgetError, match="too uncertain"):
        Budget.parse("latency >= 1 ms").filters({"latency": table(space).uncertain(0.9)})


@pytest.mark.parametrize(("n", "part"), [(2, "at least three"), (9, "do not grow")])
def test_no_calibration_without_sense(space, store, n: int, part: str) -> None:
    device = TableDevice(
        lambda module, inputs: 1.0 if isinstance(module, Small) else by_size(module, inputs)
    )
    profile = profile_space(space, IMAGE, device, store=store)
    with pytest.raises(CostError, match=part):
        calibrated(profile, device, n, store=store)
