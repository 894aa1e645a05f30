"""What every space promises, whatever its kind."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import torch
from space_examples import INPUT, SPACES
from torch import nn

from hwnas.errors import ArchError, SpaceError
from hwnas.space import SearchSpace


@pytest.fixture(scope="module", params=SPACES)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return SPACES[request.param]()


def some_archs(space: SearchSpace, count: int = 12) -> list[dict]:
    rng = np.random.default_rng(0)
    return [space.default(), *(space.sample(rng) for _ in range(count))]


def test_size_is_the_number_of_archs(space: SearchSpace) -> None:
    archs = [json.dumps(arch) for arch in itertools.islice(space.enumerate(), 20_000)]
    assert len(set(archs)) == len(archs)
    if space.size() <= 20_000:
        assert space.size() == len(archs)
    else:
        assert len(archs) == 20_000


def test_every_enumerated_arch_is_valid(space: SearchSpace) -> None:
    for arch in itertools.islice(space.enumerate(), 300):
        space.validate(arch)


def test_conditions_only_look_back(space: SearchSpace) -> None:
    seen: set[str] = set()
    for decision in space.decisions:
        assert decision.parents <= seen
        assert decision.label not in seen
        seen.add(decision.label)


def test_archs_survive_json(space: SearchSpace) -> None:
    for arch in some_archs(space):
        again = json.loads(json.dumps(arch))
        space.validate(again)
        assert again == arch


def test_samples_are_canonical_and_repeatable(space: SearchSpace) -> None:
    archs = some_archs(space)
    assert archs == some_archs(space)
    for arch in archs:
        space.validate(arch)
        assert space.canonical(arch) == arch
        assert list(arch) == [d.label for d in space.decisions if d.label in arch]


def test_a_sample_draws_each_decision_uniformly(space: SearchSpace) -> None:
    rng = np.random.default_rng(1)
    archs = [space.sample(rng) for _ in range(600)]
    for decision in space.decisions:
        values = Counter(arch[decision.label] for arch in archs if decision.label in arch)
        total, expected = values.total(), values.total() / len(decision.choices)
        if expected < 20:
            continue
        chi2 = sum((values[value] - expected) ** 2 / expected for value in decision.choices)
        # Six standard deviations of a chi-square beyond its mean.
        degrees = len(decision.choices) - 1
        assert chi2 <= degrees + 6 * (2 * degrees) ** 0.5 + 1, (decision, values, total)


def test_canonical_drops_what_is_not_taken(space: SearchSpace) -> None:
    for arch in some_archs(space):
        full = {decision.label: decision.choices[-1] for decision in space.decisions} | arch
        assert space.canonical(full) == arch
        extra = set(full) - set(arch)
        if extra:
            with pytest.raises(ArchError, match="is not taken in this arch"):
                space.validate(full)


def test_validate_names_what_is_wrong(space: SearchSpace) -> None:
    arch = space.default()
    with pytest.raises(ArchError, match="no decision 'no such label'"):
        space.validate({**arch, "no such label": 1})
    for label, value in arch.items():
        without = {other: v for other, v in arch.items() if other != label}
        with pytest.raises(ArchError) as error:
            space.validate(without)
        assert repr(label) in str(error.value)
        for wrong in (object(), None, [value], float("nan"), "no such value"):
            with pytest.raises(ArchError) as error:
                space.validate({**arch, label: wrong})
            assert repr(label) in str(error.value)
        if type(value) is int:
            with pytest.raises(ArchError, match="float"):
                space.validate({**arch, label: float(value)})
        if value in (0, 1):
            other = int(value) if isinstance(value, bool) else bool(value)
            with pytest.raises(ArchError, match=type(other).__name__):
                space.validate({**arch, label: other})


def test_mutate_changes_one_decision(space: SearchSpace) -> None:
    rng = np.random.default_rng(2)
    if space.size() == 1:
        with pytest.raises(SpaceError, match="nothing to mutate"):
            space.mutate(space.default(), rng)
        return
    for arch in some_archs(space):
        child = space.mutate(arch, rng)
        space.validate(child)
        changed = [label for label in arch.keys() & child.keys() if arch[label] != child[label]]
        assert len(changed) == 1
        # What appears or goes does so because of the one that changed.
        back = space.canonical({**child, **arch})
        assert back == arch


def test_neighbours_are_one_decision_away(space: SearchSpace) -> None:
    for arch in some_archs(space, 4):
        neighbours = space.neighbours(arch)
        expected = sum(len(space.decision(label).choices) - 1 for label in arch)
        assert len(neighbours) == expected == len({json.dumps(n) for n in neighbours})
        for neighbour in neighbours:
            space.validate(neighbour)
            both = arch.keys() & neighbour.keys()
            assert sum(arch[label] != neighbour[label] for label in both) == 1
            for label in neighbour.keys() - arch.keys():
                assert neighbour[label] == space.decision(label).choices[0]


def test_encoding_is_invertible(space: SearchSpace) -> None:
    archs = some_archs(space)
    table = space.encode(archs)
    assert table.dtype == np.float64
    assert table.shape == (len(archs), len(space.decisions))
    assert space.decode(table) == archs
    for row, arch in zip(table, archs, strict=True):
        for code, decision in zip(row, space.decisions, strict=True):
            if decision.label in arch:
                assert decision.choices[int(code)] == arch[decision.label]
            else:
                assert code == -1


def test_decode_refuses_what_encodes_no_arch(space: SearchSpace) -> None:
    with pytest.raises(ArchError, match="shape"):
        space.decode(np.zeros((1, len(space.decisions) + 1)))
    if space.decisions:
        for wrong in (0.5, 99, -2, np.nan):
            table = space.encode([space.default()])
            table[0, 0] = wrong
            with pytest.raises(ArchError, match=r"row 0.*has no choice"):
                space.decode(table)


def test_build_makes_a_fresh_network_that_runs(space: SearchSpace) -> None:
    x = torch.randn(INPUT)
    for arch in some_archs(space, 5):
        given = dict(arch)
        model, other = space.build(arch), space.build(arch)
        assert arch == given
        assert isinstance(model, nn.Module)
        assert model is not other
        assert model.eval()(x).shape[0] == INPUT[0]
        assert not {id(p) for p in model.parameters()} & {id(p) for p in other.parameters()}


def test_build_checks_the_arch(space: SearchSpace) -> None:
    with pytest.raises(ArchError):
        space.build({**space.default(), "no such label": 1})


def test_walk_refuses_a_value_that_is_no_choice(space: SearchSpace) -> None:
    if space.decisions:
        with pytest.raises(ArchError, match="not one of its choices"):
            space.walk(lambda decision: "no such value")


def test_pickling_keeps_the_space(space: SearchSpace) -> None:
    again = cloudpickle.loads(cloudpickle.dumps(space))
    assert again.fingerprint == space.fingerprint
    assert again.code_hash == space.code_hash
    assert again.size() == space.size()
    arch = some_archs(space)[-1]
    outputs = []
    for one in (space, again):
        torch.manual_seed(0)
        outputs.append(one.build(arch).eval()(torch.ones(INPUT)))
    assert torch.equal(*outputs)


@pytest.fixture(scope="module")
def elsewhere() -> list[dict[str, list[str]]]:
    """The hashes of all spaces, made in reverse order in processes with other hash seeds."""
    script = (
        "import json, space_examples as e\n"
        "made = {n: e.SPACES[n]() for n in reversed(e.SPACES)}\n"
        "print(json.dumps({n: [s.fingerprint, s.code_hash] for n, s in made.items()}))"
    )
    here = str(Path(__file__).parent)
    return [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", script],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": here, "PATH": ""},
                cwd=here,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for seed in ("1", "2")
    ]


@pytest.mark.parametrize("name", SPACES)
def test_hashes_are_the_same_in_other_processes(
    name: str, elsewhere: list[dict[str, list[str]]]
) -> None:
    space = SPACES[name]()
    for hashes in elsewhere:
        assert hashes[name] == [space.fingerprint, space.code_hash]


def test_fingerprints_differ_between_spaces() -> None:
    prints = [make().fingerprint for make in SPACES.values()]
    assert len(set(prints)) == len(prints)
