"""Modules marked as leaves with a cost of their own: in one network, and in tables of a space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor, nn

import hwnas.space as hs
from hwnas.cost import CostTable, Counting, TracedCost, cost_tables, static_costs
from hwnas.errors import CostError
from hwnas.space import Choice, FunctionSpace, LayerChoice, ModelSpace, Repeat, SearchSpace


class Mixer(nn.Module):
    """Mixes tokens; its parts are open where `width` is."""

    def __init__(self, width: Any, inner: Any = nn.Linear) -> None:
        super().__init__()
        self.width = width
        self.grow = inner(width, 4 * width)
        self.act = nn.ReLU()
        self.shrink = inner(4 * width, width)

    def forward(self, x: Tensor, *, scale: float = 1.0) -> Tensor:
        return self.shrink(self.act(self.grow(x))) * scale  # type: ignore[no-any-return]


class Special(Mixer):
    pass


def mixing(module: Any, args: Any, kwargs: Any, output: Tensor) -> dict[str, Any]:
    """By an attribute, an input's and the output's shape, and a keyword argument."""
    macs = module.width * args[0].shape[1] + output.numel()
    return {"macs": macs, "flops": 3 * macs + round(kwargs["scale"])}


def linear(module: Any, args: Any, kwargs: Any, output: Tensor) -> dict[str, Any]:
    """By what only a plain layer has, with a branch on a size."""
    return {"macs": 7 if int(args[0].shape[-1]) > 10 else module.weight.shape[0]}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        width = Choice([8, 12], label="width")
        self.embed = hs.nn.Linear(6, width)
        self.fixed = Mixer(6)
        self.blocks = Repeat(
            lambda i: LayerChoice(
                {
                    "mixer": lambda: Mixer(width, hs.nn.Linear),
                    "norm": lambda: hs.nn.LayerNorm(width),
                },
                label=f"block{i}",
            ),
            depth=Choice([1, 2], label="depth"),
        )
        self.special = Special(width, hs.nn.Linear)
        self.layer = hs.nn.TransformerEncoderLayer(width, 2, Choice([8, 16], label="hidden"))
        self.head = hs.nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(self.fixed(x, scale=2.0))
        x = self.blocks(x)
        return self.head(self.layer(self.special(x, scale=3)))  # type: ignore[no-any-return]


def exact(space: SearchSpace, inputs: Any, leaf_costs: Any) -> dict[str, Any]:
    costs = cost_tables(space, inputs, counting=Counting.nni(), leaf_costs=leaf_costs)
    for arch in space.enumerate():
        model = space.build(arch)
        built = static_costs(model, inputs, counting=Counting.nni(), leaf_costs=leaf_costs)
        assert {name: cost(arch) for name, cost in costs.items()} == built, arch
    return costs


def any_mixing(module: Any, args: Any, kwargs: Any, output: Tensor) -> dict[str, Any]:
    return mixing(module, args, {"scale": 1.0, **kwargs}, output)


@pytest.mark.parametrize(
    "leaf_costs",
    [
        {Mixer: any_mixing},
        {Mixer: any_mixing, nn.Linear: linear},
        {nn.Linear: linear},
        {Mixer: any_mixing, Special: lambda module, args, kwargs, output: {"flops": 5}},
        {nn.TransformerEncoderLayer: lambda module, args, kwargs, output: {}},
        {nn.ReLU: lambda module, args, kwargs, output: {"macs": output.numel()}},
    ],
    ids=["composite", "nested", "open layers", "subclass", "nothing", "activation"],
)
def test_tables_equal_building_and_tracing(leaf_costs: Any) -> None:
    costs = exact(ModelSpace(Net), (2, 5, 6), leaf_costs)
    assert all(isinstance(cost, CostTable) for cost in costs.values())
    plain = cost_tables(ModelSpace(Net), (2, 5, 6))
    arch = next(ModelSpace(Net).enumerate())
    assert costs["macs"](arch) != plain["macs"](arch)
    assert costs["params"](arch) == plain["params"](arch)


def test_spaces_that_are_traced() -> None:
    space = FunctionSpace(
        {"width": [6, 8]}, lambda arch: nn.Sequential(nn.Linear(4, arch["width"]))
    )
    exact(space, (2, 4), {nn.Linear: linear})
    large = FunctionSpace({"width": list(range(1, 99))}, lambda arch: nn.Linear(4, arch["width"]))
    costs = cost_tables(large, (2, 4), leaf_costs={nn.Linear: linear})
    assert isinstance(costs["macs"], TracedCost)
    assert costs["macs"]({"width": 9}) == 9
    assert costs["flops"]({"width": 9}) == 18


def test_a_leaf_counts_with_all_that_is_inside_and_at_each_call() -> None:
    class Thrice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mixer = Mixer(4)
            self.head = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.mixer(self.mixer(self.mixer(x))))  # type: ignore[no-any-return]

    seen: list[Any] = []

    def cost(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> dict[str, int]:
        seen.append((type(module), args[0].shape, kwargs, output.shape))
        return {"macs": 100}

    model = Thrice()
    costs = static_costs(model, (3, 4), leaf_costs={Mixer: cost}, counting=Counting(bias=True))
    assert costs["macs"] == 300 + 3 * 8
    assert costs["flops"] == 600 + 2 * 3 * 8 + 3 * 2
    assert seen == [(Mixer, (3, 4), {}, (3, 4))] * 3
    assert costs["params"] == sum(p.numel() for p in model.parameters())
    assert "forward" not in vars(model.mixer)


@pytest.mark.parametrize(
    ("kind", "cost", "message"),
    [
        (nn.Linear, lambda *_: {"macs": -1}, "leaf cost of Linear has -1, not a whole number"),
        (nn.Linear, lambda *_: {"macs": 1.5}, "leaf cost of Linear has 1.5, not a whole number"),
        (nn.Linear, lambda *_: {"flops": None}, "leaf cost of Linear has None, not"),
        (nn.Linear, lambda *_: {"params": 3}, "leaf cost of Linear has 'params'; known: macs"),
        (nn.Linear, lambda *_: 3, "leaf cost of Linear is a int, not a dict"),
        (nn.Linear, lambda *_: {}["x"], r"fails in .*\(Linear\).*KeyError: 'x'"),
        (nn.Sequential, lambda *_: {}, "Sequential is no leaf"),
        ("Linear", lambda *_: {}, "'Linear' is no class of modules"),
    ],
)
def test_leaf_costs_that_make_no_sense(kind: Any, cost: Callable[..., Any], message: str) -> None:
    with pytest.raises(CostError, match=message):
        static_costs(Mixer(4), (3, 4), leaf_costs={kind: cost})
    with pytest.raises(CostError, match=message):
        cost_tables(ModelSpace(Net), (2, 5, 6), leaf_costs={kind: cost})
