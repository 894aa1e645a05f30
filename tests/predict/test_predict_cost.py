"""A predictor as a cost: asked by arch or by many, limited at its confidence, used by a search."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from torch import nn

import hwnas
from hwnas import Budget, FunctionSpace
from hwnas.cost import load_cost, load_costs
from hwnas.device import SimulatedDevice
from hwnas.errors import ArchError, CostError, InfeasibleError, JobError, PredictError, UsageError
from hwnas.jobs import adapt
from hwnas.predict import PredictedLatency, known_predictor, load_adapted

SHAPE = (1, 8, 8)


def build(arch: dict[str, int]) -> nn.Module:
    inner = [nn.Linear(arch["width"], arch["width"]) for _ in range(arch["depth"])]
    return nn.Sequential(nn.Flatten(), nn.Linear(64, arch["width"]), *inner)


space = FunctionSpace({"width": list(range(8, 24)), "depth": [1, 2, 3]}, build)
archs = list(space.enumerate())


def train(model, data, report, *, seed: int):
    size = sum(p.numel() for p in model.parameters())
    return {"accuracy": size / (size + 1000)}


@pytest.fixture
def folder(plain, store, tmp_path: Path) -> Path:
    device = SimulatedDevice(
        "phone", lambda model, inputs: sum(p.numel() for p in model.parameters()) / 1000
    )
    known = known_predictor(space, method="plain", input_shape=SHAPE)
    adapt(known, space, device, 20, store=store).save(tmp_path / "phone")
    return tmp_path / "phone"


@pytest.fixture
def cost(folder: Path) -> PredictedLatency:
    found = load_cost(str(folder), space, (1, *SHAPE))
    assert isinstance(found, PredictedLatency)
    return found


def test_a_folder_is_a_cost(cost, folder: Path) -> None:
    assert cost.name == "latency@phone"
    assert list(load_costs([f"latency@mine={folder}"], space)) == ["latency@mine"]
    told = load_adapted(folder, space).predict(archs)
    encoded = space.encode(archs)
    np.testing.assert_array_equal(cost.evaluate(encoded), told.mean)
    np.testing.assert_array_equal(cost.estimates(encoded), [told.mean, told.std])
    np.testing.assert_allclose([cost(arch) for arch in archs], told.mean, rtol=1e-12)
    np.testing.assert_allclose([cost.estimate(arch).std for arch in archs], told.std, rtol=1e-12)
    np.testing.assert_array_equal(cost.renamed("x").estimates(encoded), [told.mean, told.std])
    assert cost.evaluate(encoded[:0]).shape == (0,)
    with pytest.raises(ArchError):
        cost({"width": 8})


@pytest.mark.parametrize("text", ["<= 1 ms", "<= 1 ms [confidence=0.7]", ">= 0.9 ms"])
def test_a_limit_holds_at_each_archs_own_quantile(cost, text: str) -> None:
    """What passes the filters is what the budget calls feasible."""
    budget = Budget.parse(f"latency@phone {text}")
    (constraint,) = budget
    (filter_,) = budget.filters({"latency@phone": cost})
    feasible = [budget.feasible({"latency@phone": cost.estimate(arch)}) for arch in archs]
    assert [filter_(arch) for arch in archs] == feasible
    assert filter_.keeps(space.encode(archs)).tolist() == feasible
    assert 0 < sum(feasible) < len(archs)
    z = NormalDist().inv_cdf(constraint.quantile)
    values, stds = cost.estimates(space.encode(archs))
    bound = cost.at_quantile(constraint.quantile).evaluate(space.encode(archs))
    np.testing.assert_allclose(bound, values + z * stds)


def test_both_ends_of_a_range(cost) -> None:
    budget = Budget.parse("latency@phone >= 0.9 ms, latency@phone <= 1.4 ms")
    filters = budget.filters({"latency@phone": cost})
    kept = [arch for arch in archs if all(one(arch) for one in filters)]
    assert kept
    for arch in kept:
        assert budget.feasible({"latency@phone": cost.estimate(arch)})


def search(folder: Path, cost: object, **options):
    settings = {"strategy": "random", "input_shape": SHAPE, "folder": folder / "job"}
    return hwnas.search(space, train, costs=[cost], **{**settings, **options})


def test_a_search_keeps_the_limit_with_its_confidence(folder: Path, tmp_path: Path, cost) -> None:
    """Without the device; and the same after a resume from the folder's path."""
    reference, budget = f"latency@phone={folder}", "latency@phone <= 1 ms [confidence=0.9]"
    search(tmp_path, cost.renamed("latency@phone"), budget=budget, trials=1)
    with pytest.raises(JobError, match="given as an object"):
        hwnas.search(space, train, folder=tmp_path / "job", resume=True)
    result = search(tmp_path, reference, resume=True, trials=3)
    assert len(result.trials) == 3
    for trial in result.trials:
        told = trial.costs["latency@phone"]
        assert (told.value, told.std) == pytest.approx(
            (cost(trial.arch), cost.estimate(trial.arch).std)
        )
        assert told.std > 0
        assert told.quantile(0.9) <= 1
        assert trial.feasible
    with pytest.raises(
        InfeasibleError, match=r"no arch was found .* the nearest has latency@phone"
    ):
        search(tmp_path / "b", reference, budget="latency@phone <= 0.5 ms")


def test_a_device_at_hand_measures_what_was_proposed(tmp_path: Path, plain, store) -> None:
    """Proposed by the predictor, judged by the device, at one speed of it."""
    known = known_predictor(space, method="plain", input_shape=SHAPE)
    here = "here=torch?threads=1"
    adapted = adapt(known, space, here, 3, store=store)
    adapted.save(tmp_path / "here")
    limit = float(np.quantile(adapted.predict(archs).mean, 0.7))
    budget = f"latency@here <= {limit:.5f} ms [confidence=0.51]"
    cost = f"latency@here={tmp_path / 'here'}"
    result = search(tmp_path, cost, budget=budget, devices=[here], trials=1)
    (trial,) = result.trials
    told = load_cost(cost, space, (1, *SHAPE)).estimate(trial.arch)
    assert told.quantile(0.51) <= limit
    file = result.folder / f"trials/{trial.number}/measurements.json"
    measured = json.loads(file.read_text())["here"]
    assert measured["canary"]["reference"] == adapted.reference
    (finalist,) = json.loads((result.folder / "finalists.json").read_text()).values()
    assert trial.costs["latency@here"].value == finalist["costs"]["latency@here"][0] != told.value
    with pytest.raises(JobError, match=r"adapted with threads 1, and the device has threads 2"):
        search(tmp_path / "b", cost, budget=budget, devices=["here=torch?threads=2"])
    assert not (tmp_path / "b").exists()


def test_mistakes(tmp_path: Path, folder: Path) -> None:
    other = FunctionSpace({"width": [8, 9]}, build)
    with pytest.raises(PredictError, match="another space"):
        load_cost(str(folder), other)
    with pytest.raises(CostError, match="adapted to inputs of 1,8,8, and these are 3,8,8"):
        load_cost(str(folder), space, (1, 3, 8, 8))
    with pytest.raises(UsageError, match="is no cost"):
        load_cost(str(tmp_path), space)
    with pytest.raises(UsageError, match="folder of an adapted predictor"):
        load_cost(str(tmp_path / "nothing"), space)
    (folder / "adapted.json").write_text("{")
    with pytest.raises(PredictError, match="cannot be read"):
        load_cost(f"latency@phone={folder}", space)
