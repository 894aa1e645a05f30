"""What a forward may do, and the tables follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from cost_checks import assert_exact, check_all, space_of, tables
from torch import Tensor, nn

import hwnas.space as hs
from hwnas.cost import (
    cost_tables,
)
from hwnas.space import (
    Cell,
    Choice,
    InputChoice,
    LayerChoice,
    Repeat,
)


def test_an_if_on_a_shape_and_a_loop_over_a_choice() -> None:
    def setup(net: Any) -> None:
        net.width = Choice([3, 4, 6], label="width")
        net.times = Choice([1, 3], label="times")
        net.conv = hs.nn.Conv2d(3, net.width, 1)
        net.same = hs.nn.Conv2d(net.width, net.width, 3, padding=1)

    def forward(net: Any, x: Tensor) -> Tensor:
        y = net.conv(x)
        if y.shape[1] == x.shape[1]:
            y = y + x
        for _ in range(net.times):
            y = net.same(y)
        return y

    check_all(space_of(setup, forward))


def test_attributes_that_are_texts_flags_and_missing() -> None:
    def setup(net: Any) -> None:
        net.act = Choice(["relu", "tanh"], label="act")
        net.wide = Choice([False, True], label="wide")
        net.rate = Choice([2, 4], label="rate", when=net.wide == True)  # noqa: E712
        net.first = nn.Linear(8, 8)
        net.second = nn.Linear(32, 3)

    def forward(net: Any, x: Tensor) -> Tensor:
        x = getattr(torch, net.act)(net.first(x))
        if net.wide:
            x = x.repeat(1, 1, 1, net.rate)
        return x if net.rate is None else F.pad(x, (0, 32 - x.shape[-1])) @ net.second.weight.T

    check_all(space_of(setup, forward))


def test_functions_views_and_arithmetic_on_open_shapes() -> None:
    def setup(net: Any) -> None:
        net.heads = Choice([1, 2, 4], label="heads")
        width = net.heads * 4
        net.embed = hs.nn.Linear(8, width)
        net.qkv = hs.nn.Linear(width, 3 * width)
        net.scale = hs.nn.parameter(1, width)
        net.norm = hs.nn.LayerNorm(width)

    def forward(net: Any, x: Tensor) -> Tensor:
        x = net.norm(net.embed(x.flatten(1, 2))) * net.scale
        batch, length, width = x.shape
        q, k, v = net.qkv(x).reshape(batch, length, 3, net.heads, width // net.heads).unbind(2)
        weights = torch.einsum("blhd,bmhd->bhlm", q, k) / (width // net.heads) ** 0.5
        y = (weights.softmax(-1) @ v.transpose(1, 2)).transpose(1, 2).reshape(x.shape)
        a, b = (2 * y - x).chunk(2, dim=-1)
        return torch.cat([a, b, torch.zeros(batch, length, 1)], -1).mean(dim=1)

    check_all(space_of(setup, forward))


def test_tied_weights_and_shared_modules_count_once() -> None:
    def setup(net: Any) -> None:
        width = Choice([4, 8], label="width")
        net.embed = hs.nn.Linear(8, width)
        net.head = hs.nn.Linear(8, width, bias=False)
        net.head.weight = net.embed.weight
        net.op = LayerChoice({"one": lambda: net.shared, "two": nn.Identity}, label="op")

    def setup_shared(net: Any) -> None:
        net.shared = nn.Linear(8, 8)
        net.unused = nn.Linear(5, 5)
        setup(net)

    def forward(net: Any, x: Tensor) -> Any:
        return net.head(net.shared(net.op(x))), net.embed(x)

    check_all(space_of(setup_shared, forward))


def test_a_module_shared_by_branches_only() -> None:
    def setup(net: Any) -> None:
        kept: list[nn.Module] = []

        def shared() -> nn.Module:
            if not kept:
                kept.append(nn.Linear(8, 8))
            return kept[0]

        net.one = LayerChoice([shared, nn.Identity], label="one")
        net.two = LayerChoice([nn.Identity, shared], label="two")

    costs = check_all(space_of(setup, lambda net, x: net.two(net.one(x))))
    assert costs["params"].minimum()[0] == 0


def test_widths_that_depend_on_the_operator_and_the_depth() -> None:
    def setup(net: Any) -> None:
        op = Choice(["slim", "fat"], label="op")
        net.op = LayerChoice(
            {"slim": lambda: nn.Conv2d(3, 4, 1), "fat": lambda: nn.Conv2d(3, 8, 3, stride=2)},
            label="op",
        )
        width = 4 + 4 * (op == "fat")
        net.blocks = Repeat(
            lambda i: nn.Sequential(
                hs.nn.Conv2d(width, width, Choice([1, 3], label=f"k{i}"), padding="same"),
                nn.MaxPool2d(2, ceil_mode=True),
            ),
            (0, 2),
            label="depth",
        )

    check_all(space_of(setup, lambda net, x: net.blocks(net.op(x)).flatten(1)))


def test_input_choices_of_every_kind() -> None:
    def setup(net: Any) -> None:
        net.conv = nn.Conv2d(3, 3, 3, padding=1)
        net.some = InputChoice(3, None, "concat", label="some")
        net.listed = InputChoice(3, 2, "none", label="listed")

    def forward(net: Any, x: Tensor) -> Tensor:
        inputs = [x, x[:, :2], net.conv(x)]
        picked = net.some(inputs)
        return torch.cat([*net.listed(inputs), picked], 1).transpose(1, 3) @ torch.ones(
            picked.shape[1] + sum(part.shape[1] for part in net.listed(inputs)), 2
        )

    check_all(space_of(setup, forward))


def test_cells_with_loose_ends_and_processors() -> None:
    class Pre(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, inputs: list[Tensor]) -> list[Tensor]:
            return [self.conv(x) for x in inputs]

    class Post(nn.Module):
        def forward(self, output: Tensor, inputs: list[Tensor]) -> Tensor:
            return torch.cat([output, inputs[0]], 1)

    def setup(net: Any) -> None:
        net.cell = Cell(
            {
                "conv": lambda node, source: hs.nn.Conv2d(
                    4, 4, Choice([1, 3], label=f"k{node}"), padding="same"
                ),
                "skip": lambda node, source: nn.Identity(),
            },
            num_nodes=3,
            num_predecessors=2,
            merge_op="loose_end",
            preprocessor=Pre,
            postprocessor=Post,
            label="cell",
        )
        net.head = hs.nn.Linear(net.cell.loose_ends * 4 + 3, 5)

    def forward(net: Any, x: Tensor) -> Tensor:
        return net.head(net.cell(x, 2 * x).mean((2, 3)))

    space = space_of(setup, forward)
    costs = tables(space, (1, 3, 4, 4))
    assert_exact(space, (1, 3, 4, 4), dict(costs), list(space.enumerate())[::37])


def test_leaf_modules_of_every_kind_take_open_inputs() -> None:
    def setup(net: Any) -> None:
        net.length = Choice([2, 4], label="length")
        net.lstm = nn.LSTM(8, 8, batch_first=True)
        net.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        net.open = hs.nn.GRU(8, Choice([4, 6], label="hidden"), batch_first=True)

    def forward(net: Any, x: Tensor) -> Any:
        x = x[:, 0, : net.length]
        x, _ = net.lstm(x)
        return net.open(net.layer(x))[0]

    check_all(space_of(setup, forward))


class Powers(nn.Module):
    """The weights to a power, and a function, both told by attributes alone."""

    def __init__(self, times: int, function: Callable[[Tensor], Tensor], width: int) -> None:
        super().__init__()
        self.times = times
        self.function = function
        self.weight = nn.Parameter(torch.ones(width, width))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for _ in range(self.times):
            y = y @ self.weight
        return y + self.function(x) @ self.weight


def test_plain_modules_of_one_class_that_differ_in_attributes() -> None:
    doubled, same = (lambda x: x @ x.new_ones(8, 8)), (lambda x: x)

    def setup(net: Any) -> None:
        net.conv = hs.nn.Conv2d(3, Choice([4, 8]), 3, padding=1)
        made = [(1, same), (1, doubled), (2, same), (1, same)]
        net.powers = nn.ModuleList(Powers(times, f, 8) for times, f in made)

    def forward(net: Any, x: Tensor) -> Any:
        x = net.conv(x)
        for power in net.powers:
            x = power(x)
        return x

    check_all(space_of(setup, forward))


class Traced(nn.Module):
    """Notes each of its runs where all see it."""

    runs: list[torch.Size] = []

    def forward(self, x: Tensor) -> Tensor:
        self.runs.append(x.shape)
        return x.relu()


def test_modules_that_are_alike_run_once_for_each_shape() -> None:
    def setup(net: Any) -> None:
        net.conv = hs.nn.Conv2d(3, Choice([4, 8]), 3)
        net.first, net.second = Traced(), Traced()

    space = space_of(setup, lambda net, x: net.second(net.first(net.conv(x))))
    Traced.runs.clear()
    cost_tables(space, (2, 3, 8, 8), ["macs"])
    assert len(Traced.runs) == 2


class Keeps(nn.Module):
    """Keeps the number of its input's channels for others to read."""

    def forward(self, x: Tensor) -> Tensor:
        self.kept = x.shape[1]
        return x.relu()


def test_modules_that_change_in_their_forward_are_not_taken_for_each_other() -> None:
    def setup(net: Any) -> None:
        net.conv = hs.nn.Conv2d(3, Choice([4, 8]), 3, stride=Choice([1, 2], label="stride"))
        net.pool = nn.AdaptiveAvgPool2d(2)
        net.first, net.second = Keeps(), Keeps()

    def forward(net: Any, x: Tensor) -> Any:
        x = net.second(net.first(net.pool(net.conv(x))))
        return x @ x if net.second.kept else x

    check_all(space_of(setup, forward))
