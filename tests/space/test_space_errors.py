"""What is wrong with a network is said where it is wrong, and leaves nothing behind."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from space_examples import Chain, conditions, network
from torch import nn

import hwnas.space as hs
from hwnas.errors import ArchError, SpaceError
from hwnas.space import Choice, LayerChoice, ModelSpace, Repeat, scope


def test_modules_in_place_of_factories() -> None:
    def setup(net: Any) -> None:
        net.op = LayerChoice([nn.Conv2d(3, 3, 1), nn.Identity()])

    with pytest.raises(
        SpaceError, match=r"candidate 0 is a module.*`lambda: nn\.Conv2d\(\.\.\.\)`"
    ):
        ModelSpace(network(setup))
    with pytest.raises(SpaceError, match="takes the class"):
        ModelSpace(nn.ReLU())


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ([], "no candidates"),
        ({}, "no candidates"),
        ([3], "no factory but 3"),
        ({1: nn.ReLU}, "key 1 is no text"),
        ("relu", "must be a list or a dict"),
        ([lambda: 3], "made 3, which is no nn.Module"),
    ],
)
def test_bad_candidates(candidates: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        ModelSpace(lambda: LayerChoice(candidates, label="op"))


def test_symbolic_parts_outside_a_space() -> None:
    width = Choice([4, 8], label="width")
    for use in (
        lambda: hs.nn.Conv2d(3, width, 1),
        lambda: hs.nn.parameter(width),
        lambda: LayerChoice([nn.ReLU]),
        lambda: hs.InputChoice(2),
        lambda: Repeat(lambda i: nn.ReLU(), (1, 2)),
        lambda: Repeat(lambda i: nn.ReLU(), width),
        lambda: hs.Cell([nn.Identity], 1),
    ):
        with pytest.raises(SpaceError, match="ModelSpace"):
            use()


def test_plain_parts_outside_a_space_are_torch() -> None:
    assert type(hs.nn.Conv2d(3, 4, 1)) is nn.Conv2d
    assert type(hs.nn.parameter(2, 3)) is nn.Parameter
    repeat = Repeat(lambda i: nn.Linear(i + 1, i + 2), 2)
    assert type(repeat) is nn.Sequential
    assert [block.in_features for block in repeat] == [1, 2]


@pytest.mark.parametrize(
    "setup",
    [
        lambda w: nn.Linear(3, w * 2),
        lambda w: nn.Conv2d(3, w, 3),
        lambda w: nn.BatchNorm2d(w),
        lambda w: nn.Parameter(torch.zeros(1, w)),
        lambda w: nn.Sequential(*(nn.ReLU() for _ in range(w))),
        lambda w: nn.ReLU() if w == 4 else nn.GELU(),
    ],
)
def test_torch_with_a_choice_says_what_to_use(setup: Any) -> None:
    with pytest.raises(SpaceError, match=r"hwnas\.space\.nn"):
        ModelSpace(lambda: setup(Choice([4, 8], label="w")))


def test_tensor_values_are_not_to_be_had_in_the_constructor() -> None:
    for read in (lambda t: t.tolist(), lambda t: t[0].item()):
        with pytest.raises(SpaceError, match=r"test_space_errors\.py:\d+.*plain Python"):
            ModelSpace(lambda read=read: nn.Dropout(read(torch.linspace(0, 1, 3))))


def test_other_errors_of_the_constructor_pass_through() -> None:
    for error in (TypeError("mine"), RuntimeError("mine"), KeyError("mine")):

        def fail(error: Exception = error) -> nn.Module:
            raise error

        with pytest.raises(type(error), match="mine"):
            ModelSpace(fail)
    with pytest.raises(SpaceError, match=r"no nn\.Module"):
        ModelSpace(lambda: 3)


def test_a_failure_leaves_nothing_behind() -> None:
    def setup(net: Any) -> None:
        with scope("inner"):
            net.op = LayerChoice({"a": nn.ReLU, "b": lambda: 1 / 0})

    space = ModelSpace(Chain)
    before = space.fingerprint
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            ModelSpace(network(setup))
    # No run is under way, no scope open, the meta device not in force.
    assert Choice([1, 2], label="a").label == "a"
    with pytest.raises(SpaceError, match="ModelSpace"):
        LayerChoice([nn.ReLU])
    assert nn.Linear(2, 2).weight.device.type == "cpu"
    assert ModelSpace(Chain).fingerprint == before


def test_a_failing_build_leaves_nothing_behind() -> None:
    fail = [False]

    def setup(net: Any) -> None:
        net.op = LayerChoice([nn.ReLU, nn.GELU])
        if fail[0]:
            raise RuntimeError("out of memory")

    space = ModelSpace(network(setup))
    fail[0] = True
    with pytest.raises(RuntimeError, match="out of memory"):
        space.build({"op": 1})
    fail[0] = False
    assert type(space.build({"op": 1}).op) is nn.GELU
    with pytest.raises(SpaceError, match="ModelSpace"):
        LayerChoice([nn.ReLU])


def test_a_constructor_that_depends_on_chance() -> None:
    source = random.Random(0)

    def setup(net: Any) -> None:
        net.fc = hs.nn.Linear(3, Choice([source.randrange(10**9), 1]))

    space = ModelSpace(network(setup))
    with pytest.raises(SpaceError, match="must not depend on chance"):
        space.build(space.default())


def test_a_constructor_that_makes_fewer_choices_later() -> None:
    fewer = [False]

    def setup(net: Any) -> None:
        if not fewer[0]:
            net.kernel = Choice([1, 3])

    space = ModelSpace(network(setup))
    fewer[0] = True
    with pytest.raises(SpaceError, match="did not make the choice 'kernel'"):
        space.build({"kernel": 3})


def test_a_choice_made_outside_the_constructor() -> None:
    width = Choice([4, 8], label="width")
    with pytest.raises(
        SpaceError, match=r"fc\.out_features has Choice 'width'.*made outside the constructor"
    ):
        ModelSpace(network(lambda net: setattr(net, "fc", hs.nn.Linear(3, width))))
    with pytest.raises(SpaceError, match="'b' needs 'width', not in the space"):
        ModelSpace(network(lambda net: Choice([1, 2], label="b", when=width == 4)))


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        ((2, 1), "low <= high"),
        ((1, 2, 3), "low <= high"),
        ((-1, 2), "-1 is no int"),
        (-1, "-1 is no int"),
        (True, "True is no int"),
        (1.5, "1.5 is no int"),
    ],
)
def test_bad_depths(depth: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        ModelSpace(network(lambda net: setattr(net, "r", Repeat(lambda i: nn.ReLU(), depth))))


def test_the_label_of_a_depth() -> None:
    def setup(net: Any) -> None:
        net.a = Repeat(lambda i: nn.ReLU(), (1, 2), label="depth")
        net.b = Repeat(lambda i: nn.ReLU(), net.a.depth if False else Choice([2, 4]) // 2)

    assert set(conditions(ModelSpace(network(setup)))) == {"depth", "b.depth"}
    with pytest.raises(SpaceError, match="belongs to depth="):
        Repeat(lambda i: nn.ReLU(), 2, label="depth")


def test_build_refuses_an_arch_of_another_space() -> None:
    with pytest.raises(
        ArchError, match=r"no decision 'conv1\.kernel'; did you mean 'conv1\.kernel_"
    ):
        ModelSpace(Chain).build({"width": 4, "conv1.kernel": 3})
