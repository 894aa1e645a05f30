"""ModelSpace: plain PyTorch in, plain PyTorch out, in any thread."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from space_examples import SPACES, Chain, conditions, network
from torch import nn

import hwnas.space as hs
from hwnas.space import Choice, LayerChoice, ModelSpace, Repeat


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
    assert conditions(space) == {"norm": "True", "groups": '(norm == "group")'}
    assert space.build({"norm": "batch"}).groups is None
    assert space.build({"norm": "group", "groups": 4}).groups == 4


def test_one_label_at_two_places_is_one_decision() -> None:
    def conv() -> nn.Module:
        return hs.nn.Conv2d(3, 3, Choice([1, 3], label="kernel"))

    def setup(net: Any) -> None:
        net.first = LayerChoice({"conv": conv, "skip": nn.Identity})
        net.second = LayerChoice({"conv": conv, "skip": nn.Identity})

    space = ModelSpace(network(setup))
    assert conditions(space)["kernel"] == '((first == "conv") | (second == "conv"))'
    assert space.size() == 1 + 3 * 2
    model = space.build({"first": "skip", "second": "conv", "kernel": 3})
    assert model.second.kernel_size == (3, 3)


def test_a_condition_on_a_layer_choice() -> None:
    def setup(net: Any) -> None:
        kind = Choice(["conv", "skip"], label="op")
        net.op = LayerChoice({"conv": nn.ReLU, "skip": nn.Identity}, label="op")
        net.scale = Choice([1, 2], when=kind == "conv")

    space = ModelSpace(network(setup))
    assert list(space.enumerate()) == [
        {"op": "conv", "scale": 1},
        {"op": "conv", "scale": 2},
        {"op": "skip"},
    ]
    model = space.build({"op": "conv", "scale": 2})
    assert type(model.op) is nn.ReLU
    assert model.scale == 2


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
