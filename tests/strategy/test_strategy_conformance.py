"""What every strategy promises, for each that is installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from torch import nn

from hwnas import Choice, FunctionSpace, _plugins
from hwnas.cost import CostTable, FunctionCost, RangeFilter
from hwnas.errors import UsageError
from hwnas.space import SearchSpace
from hwnas.strategy import Candidates, SpaceSampler, StudyStore, make_strategy, suggest

NAMES = _plugins.names("strategies")


def flat() -> SearchSpace:
    choices = {"a": [1, 2, 3], "b": ["x", "y"], "c": [0.5, 1.5], "d": [True, False]}
    return FunctionSpace(choices, lambda arch: nn.Identity())


def conditional() -> SearchSpace:
    depth = Choice([1, 2, 3], label="depth")
    blocks = [Choice([3, 5, 7], label=f"k{i}", when=depth > i) for i in range(3)]
    return FunctionSpace([depth, *blocks], lambda arch: nn.Identity())


def short(name: str, trials: int) -> int:
    """Gaussian processes are slow at first: fewer trials show the same."""
    return min(trials, 12) if name == "gp" else trials


def single() -> SearchSpace:
    return FunctionSpace({"only": [7], "a": [1, 2]}, lambda arch: nn.Identity())


SPACES: list[Callable[[], SearchSpace]] = [flat, conditional, single]


def value(arch: dict[str, object]) -> float:
    return sum(len(str(v)) + (v if isinstance(v, (int, float)) else 0) for v in arch.values())


def run(study: optuna.Study, space: SearchSpace, trials: int) -> list[dict[str, object]]:
    archs = []
    for _ in range(trials):
        trial = study.ask()
        arch = suggest(trial, space)
        trial.set_constraint("size", value(arch) - 8)
        study.tell(trial, value(arch))
        archs.append(arch)
    return archs


def limited(space: SearchSpace, *, table: bool) -> Candidates:
    """About a third of `conditional`: what a table limits, or a function that is asked."""
    if table:
        parts = [([d.label], lambda arch: float(sum(arch.values()))) for d in space.decisions]
        return Candidates(space, [RangeFilter(CostTable.of("sum", space, parts), 6, 12)])
    cost = FunctionCost("sum", space, lambda arch: float(sum(arch.values())))
    return Candidates(space, [RangeFilter(cost, 6, 12)])


def study_with(
    space: SearchSpace | Candidates, name: str, seed: int = 0, **more: object
) -> optuna.Study:
    sampler = SpaceSampler(space, make_strategy(name), seed)
    return optuna.create_study(sampler=sampler, direction="maximize", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", SPACES)
@pytest.mark.parametrize("name", NAMES)
def test_archs_are_valid_and_never_twice(name: str, make: Callable[[], SearchSpace]) -> None:
    """Each arch once, until the space has been seen whole; then the strategy may repeat itself."""
    space = make()
    size = short(name, space.size())
    archs = run(study_with(space, name), space, short(name, size + 1))
    for arch in archs:
        space.validate(arch)
    assert len({json.dumps(a, sort_keys=True) for a in archs[:size]}) == size


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides(name: str) -> None:
    space = conditional()
    one, two = (run(study_with(space, name, seed=5), space, short(name, 15)) for _ in range(2))
    assert one == two
    assert run(study_with(space, name, seed=6), space, len(one)) != one


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_study_goes_on_as_an_unbroken_one(name: str, tmp_path: Path) -> None:
    """New objects at each step, as after a kill, propose what the same objects would have."""
    space = conditional()
    unbroken = run(study_with(space, name, seed=3), space, 5 * (rounds := short(name, 25) // 5))
    broken = []
    for _ in range(5):
        store = StudyStore(str(tmp_path / "journal"), "s")
        study = store.create(["max"])
        study.sampler = SpaceSampler(space, make_strategy(name), 3)
        broken += run(study, space, rounds)
    assert broken == unbroken


@pytest.mark.parametrize("name", NAMES)
def test_failed_and_running_trials_do_not_disturb(name: str) -> None:
    space = flat()
    study = study_with(space, name)
    for i in range(12):
        trial = study.ask()
        suggest(trial, space)
        if i % 3 == 0:
            study.tell(trial, state=TrialState.FAIL)
        elif i % 3 == 1:
            study.tell(trial, float(i))
    assert len({json.dumps(t.params, sort_keys=True) for t in study.trials}) == 12


@pytest.mark.parametrize("name", [n for n in NAMES if make_strategy(n).multi_objective])
def test_several_objectives(name: str) -> None:
    space = flat()
    sampler = SpaceSampler(space, make_strategy(name), 0)
    study = optuna.create_study(sampler=sampler, directions=["maximize", "minimize"])
    for _ in range(15):
        trial = study.ask()
        arch = suggest(trial, space)
        study.tell(trial, [value(arch), float(str(arch["c"]))])
    assert study.best_trials


@pytest.mark.parametrize("table", [True, False], ids=["table", "function"])
@pytest.mark.parametrize("name", NAMES)
def test_limits_are_kept(name: str, table: bool) -> None:
    """Every proposal keeps them, each once until none is left; then the study is exhausted."""
    space = conditional()
    candidates = limited(space, table=table)
    inside = [a for a in space.enumerate() if 6 <= sum(a.values()) <= 12]
    study = study_with(candidates, name)
    archs = run(study, space, short(name, len(inside) - 1))
    assert not study.sampler.exhausted(study)
    if name != "gp":
        archs += run(study, space, 1)
        assert study.sampler.exhausted(study)
        assert sorted(map(str, archs)) == sorted(map(str, inside))
        archs += run(study, space, 1)
    assert all(arch in inside for arch in archs)


@pytest.mark.parametrize("table", [True, False], ids=["table", "function"])
@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_study_goes_on_within_limits(name: str, table: bool) -> None:
    space = conditional()
    unbroken = run(study_with(limited(space, table=table), name), space, 8)
    study = study_with(limited(space, table=table), name)
    broken = run(study, space, 5)
    study.sampler = SpaceSampler(limited(space, table=table), make_strategy(name), 0)
    assert broken + run(study, space, 3) == unbroken


def test_a_trial_without_a_whole_arch_does_not_count_as_one() -> None:
    """One that died while its parameters were written: the space is exhausted without it."""
    space = flat()
    study = study_with(space, "random")
    dead = study.ask()
    dead.suggest_int("a", 1, 3)
    study.tell(dead, state=TrialState.FAIL)
    for _ in range(space.size()):
        assert not study.sampler.exhausted(study)
        run(study, space, 1)
    assert study.sampler.exhausted(study)
    assert len({json.dumps(t.params, sort_keys=True) for t in study.trials}) == space.size() + 1


def test_an_arch_type_survives_the_study(tmp_path: Path) -> None:
    """1, True, 1.0 and "1" are four different choices, and come back as what they were."""
    choices = {"i": [1, 2], "f": [1.0, 2.5], "b": [True, False], "s": ["1", "2"]}
    space = FunctionSpace(choices, lambda arch: nn.Identity())
    store = StudyStore(str(tmp_path / "journal"), "s")
    study = store.create(["max"])
    study.sampler = SpaceSampler(space, make_strategy("random"), 0)
    run(study, space, 8)
    for trial in StudyStore(str(tmp_path / "journal"), "s").load().trials:
        space.validate(trial.params)


def test_evolution_climbs() -> None:
    """On a smooth landscape of 4 ** 12 archs evolution finds better archs than chance does."""
    space = FunctionSpace({f"d{i}": [0, 1, 2, 3] for i in range(12)}, lambda arch: nn.Identity())

    def best(name: str, seed: int) -> float:
        study = study_with(space, name, seed)
        for _ in range(150):
            trial = study.ask()
            study.tell(trial, float(sum(suggest(trial, space).values())))
        return study.best_value

    evolved = np.mean([best("evolution", seed) for seed in range(3)])
    chance = np.mean([best("random", seed) for seed in range(3)])
    assert evolved > chance + 2


def test_evolution_prefers_what_keeps_the_constraint() -> None:
    """High values that violate a constraint lose against lower ones that keep it."""
    space = FunctionSpace({f"d{i}": [0, 1, 2, 3] for i in range(10)}, lambda arch: nn.Identity())
    study = study_with(space, "evolution")
    kept = []
    for _ in range(150):
        trial = study.ask()
        total = sum(suggest(trial, space).values())
        trial.set_constraint("total", total - 8.0)
        study.tell(trial, float(total))
        kept.append(total <= 8)
    assert sum(kept[75:]) > sum(kept[:20]) * 75 / 20


def test_an_unknown_strategy_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown strategie? ?'?.*known: evolution, gp"):
        make_strategy("annealing")
