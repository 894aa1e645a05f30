"""Labels come from attribute paths; where one would not last, an error asks for it."""

from __future__ import annotations

from typing import Any

import pytest
from space_examples import InvertedResidual, conditions, network
from torch import nn

import hwnas.space as hs
from hwnas.errors import SpaceError
from hwnas.space import Choice, LayerChoice, ModelSpace, Repeat, scope


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

    assert set(conditions(ModelSpace(Net))) == {
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
    assert set(conditions(space)) == {"stage1/width", "b.out_features"}
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
            r"'w' is one decision.*\[3, 4\] \(test_space_labels.py:\d+\) and \[3, 5\]",
        ),
    ],
)
def test_labels_that_would_not_last_are_asked_for(setup: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message) as error:
        ModelSpace(network(setup))
    assert "test_space_labels.py:" in str(error.value)


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
    assert conditions(ModelSpace(network(setup)))["a"] == "True"
    assert set(conditions(ModelSpace(network(twisted))).values()) == {"True"}

    def circle(net: Any) -> None:
        root = Choice([0, 1], label="root")
        a = Choice([1, 2], label="a", when=root == 1)
        b = Choice([1, 2], label="b", when=a == 1)
        Choice([1, 2], label="a", when=b == 1)

    with pytest.raises(SpaceError, match="form a cycle: a, b"):
        ModelSpace(network(circle))
