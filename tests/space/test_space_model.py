"""ModelSpace: plain PyTorch in, plain PyTorch out; labels, conditions and errors."""

from __future__ import annotations

import copy
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from space_examples import SPACES, Chain, InvertedResidual
from torch import nn

import hwnas.space as hs
from hwnas.errors import ArchError, SpaceError
from hwnas.space import (
    Choice,
    LayerChoice,
    ModelSpace,
    Repeat,
    SearchSpace,
    scope,
)


def network(setup: Callable[[nn.Module], None]) -> type[nn.Module]:
    """A module class whose constructor runs `setup(self)`."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            setup(self)

    return Net


def labels(space: SearchSpace) -> dict[str, str]:
    return {d.label: str(d.condition) for d in space.decisions}


# What is built


@pytest.mark.parametrize("name", ["chain", "mobilenet", "bench_cell", "transformer", "nested"])
def test_built_networks_are_plain_pytorch(name: str) -> None:
    space = SPACES[name]()
    rng = np.random.default_rng(0)
    for _ in range(10):
        model = space.build(space.sample(rng))
        for module in model.modules():
            assert not type(module).__module__.startswith("hwnas")
            for value in vars(module).values():
                assert not isinstance(value, hs.Expr)
        state = model.state_dict()
        assert all(tensor.device.type == "cpu" for tensor in state.values())
        copy.deepcopy(model).load_state_dict(state)


def test_a_built_network_is_an_instance_of_the_class() -> None:
    space = ModelSpace(Chain, classes=7)
    model = space.build({"width": 6, "conv1.kernel_size": 5})
    assert type(model) is Chain
    assert type(model.conv1) is nn.Conv2d
    assert model.conv1.kernel_size == (5, 5)
    assert model.bn.num_features == model.conv1.out_channels == model.conv2.in_channels == 6
    assert model.conv2.out_channels == model.head.in_features == 12
    assert model.head.out_features == 7


def test_only_the_chosen_parts_are_created() -> None:
    made: Counter[str] = Counter()

    def counting(name: str) -> Callable[[], nn.Module]:
        def factory() -> nn.Module:
            made[name] += 1
            return nn.Identity()

        return factory

    def setup(net: Any) -> None:
        net.op = LayerChoice({name: counting(name) for name in ("a", "b", "c")})
        net.blocks = Repeat(lambda i: counting(f"block{i}")(), (0, 3))

    space = ModelSpace(network(setup))
    assert made == {"a": 1, "b": 1, "c": 1, "block0": 1, "block1": 1, "block2": 1}
    made.clear()
    model = space.build({"op": "b", "blocks.depth": 2})
    assert made == {"b": 1, "block0": 1, "block1": 1}
    assert type(model.op) is nn.Identity
    assert type(model.blocks) is nn.Sequential
    assert len(model.blocks) == 2


def test_making_a_space_takes_no_memory_and_no_randomness() -> None:
    state = torch.get_rng_state()
    space = ModelSpace(lambda: nn.Sequential(hs.nn.Linear(10**6, Choice([10**6], label="w"))))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.is_meta for parameter in space.template.parameters())


def test_a_factory_may_be_a_function_with_open_arguments() -> None:
    def tower(width: int, depth: int, act: str = "relu") -> nn.Module:
        return nn.Sequential(
            hs.nn.Linear(4, width), Repeat(lambda i: hs.nn.Linear(width, width), depth)
        )

    space = ModelSpace(tower, Choice([8, 16]), depth=Choice([1, 2], label="n"))
    assert [d.label for d in space.decisions] == ["n", "width"]
    model = space.build({"width": 16, "n": 2})
    assert [m.out_features for m in model.modules() if isinstance(m, nn.Linear)] == [16] * 3


def test_values_of_every_kind_reach_the_constructor() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rate = Choice([0.1, 0.5])
            self.bias = Choice([True, False])
            self.mode = Choice(["nearest", "bilinear"])
            self.fc = hs.nn.Linear(3, 4, bias=self.bias)
            self.up = hs.nn.Upsample(scale_factor=2, mode=self.mode)
            self.drop = hs.nn.Dropout(self.rate)

    model = ModelSpace(Net).build({"rate": 0.5, "bias": False, "mode": "bilinear"})
    assert (model.rate, model.bias, model.mode) == (0.5, False, "bilinear")
    assert model.fc.bias is None
    assert model.up.mode == "bilinear"
    assert model.drop.p == 0.5


def test_a_choice_that_is_not_taken_is_none() -> None:
    def setup(net: Any) -> None:
        net.norm = Choice(["batch", "group"])
        net.groups = Choice([2, 4], when=net.norm == "group")

    space = ModelSpace(network(setup))
    assert labels(space) == {"norm": "True", "groups": '(norm == "group")'}
    assert space.build({"norm": "batch"}).groups is None
    assert space.build({"norm": "group", "groups": 4}).groups == 4


def test_one_label_at_two_places_is_one_decision() -> None:
    def conv() -> nn.Module:
        return hs.nn.Conv2d(3, 3, Choice([1, 3], label="kernel"))

    def setup(net: Any) -> None:
        net.first = LayerChoice({"conv": conv, "skip": nn.Identity})
        net.second = LayerChoice({"conv": conv, "skip": nn.Identity})

    space = ModelSpace(network(setup))
    assert labels(space)["kernel"] == '((first == "conv") | (second == "conv"))'
    assert space.size() == 1 + 3 * 2
    model = space.build({"first": "skip", "second": "conv", "kernel": 3})
    assert model.second.kernel_size == (3, 3)


# Labels


def test_labels_come_from_attribute_paths() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = Choice([4, 8])
            self.width = width
            self.stem = hs.nn.Conv2d(3, width, Choice([1, 3]))
            self.op = LayerChoice(
                [nn.Identity, lambda: hs.nn.Conv2d(width, width, Choice([1, 3]) + 2)]
            )
            self.named = nn.Sequential()
            self.named.add_module("conv", hs.nn.Conv2d(width, width, Choice([1, 5])))
            self.stage = Repeat(lambda i: hs.nn.Conv2d(width, width, Choice([1, 3])), (1, 2))
            self.fixed = Repeat(lambda i: hs.nn.Conv2d(width, width, Choice([1, 3])), 2)

    assert set(labels(ModelSpace(Net))) == {
        "width",
        "stem.kernel_size",
        "op",
        "op.1.kernel_size",
        "named.conv.kernel_size",
        "stage.depth",
        "stage.0.kernel_size",
        "stage.1.kernel_size",
        "fixed.0.kernel_size",
        "fixed.1.kernel_size",
    }


def test_labels_do_not_depend_on_creation_order() -> None:
    def one(net: Any) -> None:
        net.a = InvertedResidual(4, 4, True)
        net.b = LayerChoice({"x": nn.Identity, "y": lambda: InvertedResidual(4, 4, True)})

    def other(net: Any) -> None:
        net.extra = nn.ReLU()
        net.b = LayerChoice({"x": nn.Identity, "y": lambda: InvertedResidual(4, 4, True)})
        net.a = InvertedResidual(4, 4, True)

    first, second = ModelSpace(network(one)), ModelSpace(network(other))
    assert first.fingerprint == second.fingerprint
    assert first.decisions != ()


def test_scopes_prefix_explicit_labels_only() -> None:
    def setup(net: Any) -> None:
        with scope("stage1"):
            net.a = hs.nn.Linear(3, Choice([1, 2], label="width"))
            net.b = hs.nn.Linear(3, Choice([1, 2]))

    with scope("outside"):
        space = ModelSpace(network(setup))
    assert set(labels(space)) == {"stage1/width", "b.out_features"}
    assert space.build({"stage1/width": 2, "b.out_features": 1}).a.out_features == 2


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        (
            lambda net: setattr(net, "s", nn.Sequential(hs.nn.Linear(2, Choice([3, 4])))),
            r"at 's\.0\.out_features' has no lasting name.*Sequential 's'.*label=",
        ),
        (
            lambda net: setattr(net, "s", nn.ModuleList([LayerChoice([nn.ReLU, nn.GELU])])),
            r"at 's\.0' has no lasting name.*ModuleList 's'",
        ),
        (lambda net: Choice([3, 4]), r"\[3, 4\].*held by no module.*label="),
        (
            lambda net: [
                setattr(net, name, hs.nn.Linear(2, width))
                for width in [Choice([3, 4])]
                for name in "ab"
            ],
            r"used at 'a\.out_features', 'b\.out_features'",
        ),
        (
            lambda net: [
                setattr(net, "op", LayerChoice([nn.ReLU, nn.GELU])),
                setattr(net, "fc", hs.nn.Linear(2, Choice([3, 4], label="op"))),
            ],
            "would be called 'op'",
        ),
        (
            lambda net: [
                setattr(net, "a", hs.nn.Linear(2, Choice([3, 4], label="w"))),
                setattr(net, "b", hs.nn.Linear(2, Choice([3, 5], label="w"))),
            ],
            r"'w' is one decision.*\[3, 4\] \(test_space_model.py:\d+\) and \[3, 5\]",
        ),
    ],
)
def test_labels_that_would_not_last_are_asked_for(setup: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message) as error:
        ModelSpace(network(setup))
    assert "test_space_model.py:" in str(error.value)


def test_a_shared_module_is_one_place_too_many() -> None:
    def setup(net: Any) -> None:
        net.a = LayerChoice([nn.ReLU, nn.GELU])
        net.b = net.a

    with pytest.raises(SpaceError, match="used at 'a', 'b'"):
        ModelSpace(network(setup))


def test_conditions_that_go_in_a_circle() -> None:
    def setup(net: Any) -> None:
        a = Choice([1, 2], label="a")
        Choice([1, 2], label="b", when=a == 1)
        Choice([1, 2], label="a", when=Choice([1, 2], label="b") == 1)
        Choice([1, 2], label="c", when=a == 1)

    def twisted(net: Any) -> None:
        first = LayerChoice({"x": lambda: LayerChoice([nn.ReLU], label="q")}, label="p")
        second = LayerChoice([lambda: LayerChoice({"x": nn.ReLU}, label="p")], label="q")
        net.parts = nn.ModuleList([first, second])

    # A decision that is taken anyway at one place needs no condition.
    assert labels(ModelSpace(network(setup)))["a"] == "True"
    assert set(labels(ModelSpace(network(twisted))).values()) == {"True"}

    def circle(net: Any) -> None:
        root = Choice([0, 1], label="root")
        a = Choice([1, 2], label="a", when=root == 1)
        b = Choice([1, 2], label="b", when=a == 1)
        Choice([1, 2], label="a", when=b == 1)

    with pytest.raises(SpaceError, match="form a cycle: a, b"):
        ModelSpace(network(circle))


# Errors


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
        with pytest.raises(SpaceError, match=r"test_space_model\.py:\d+.*plain Python"):
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

    assert set(labels(ModelSpace(network(setup)))) == {"depth", "b.depth"}
    with pytest.raises(SpaceError, match="belongs to depth="):
        Repeat(lambda i: nn.ReLU(), 2, label="depth")


# Threads


def test_spaces_are_made_and_built_in_threads() -> None:
    wrong: list[object] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        space = SPACES["mobilenet" if seed % 2 else "chain"]()
        for _ in range(10):
            arch = space.sample(rng)
            model = space.build(arch)
            width = arch.get("width2", 2 * int(arch.get("width", 0)))
            if model.head.in_features != width:
                wrong.append(arch)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_one_space_builds_in_many_threads() -> None:
    space = ModelSpace(Chain)
    archs = list(space.enumerate()) * 3
    kernels: dict[int, int] = {}

    def work(i: int) -> None:
        kernels[i] = space.build(archs[i]).conv1.kernel_size[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(archs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [kernels[i] for i in range(len(archs))] == [a["conv1.kernel_size"] for a in archs]


def test_build_refuses_an_arch_of_another_space() -> None:
    with pytest.raises(
        ArchError, match=r"no decision 'conv1\.kernel'; did you mean 'conv1\.kernel_"
    ):
        ModelSpace(Chain).build({"width": 4, "conv1.kernel": 3})
