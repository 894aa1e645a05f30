"""Peak activation bytes: of one network as eager PyTorch holds tensors, and of whole spaces."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwnas.cost import MaxTable, TracedCost, cost_tables, static_costs
from hwnas.errors import CostError
from hwnas.space import Choice, InputChoice, LayerChoice, ModelSpace, Repeat
from hwnas.space import nn as snn
from hwnas.zoo import load_space

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks._measured_peak import measured_peak

PEAK = "peak_activation_bytes"


def peak(model: nn.Module, shape: Any) -> float:
    return static_costs(model, shape, [PEAK])[PEAK]


class Run(nn.Module):
    def __init__(self, forward: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *inputs: Tensor) -> Any:
        return self.run(self, *inputs)


def _rebound(net: Any, x: Tensor) -> Tensor:
    x = x + 1
    x = x + 1
    return x + 1


def _kept(net: Any, x: Tensor) -> Tensor:
    first = x + 1
    second = first + 1
    third = second + 1
    return third + first


def _views(net: Any, x: Tensor) -> Tensor:
    a, b = x.chunk(2)
    return torch.cat([a.relu_(), b.t().t()])


CALLS: dict[str, tuple[Callable[..., Any], int]] = {
    "a local variable lives until it is bound anew": (_rebound, 3),
    "and else until the function returns": (_kept, 5),
    "views and results in place share their storage": (_views, 2),
    "an unused result is gone at once": (lambda net, x: (x + 1, (x * 2).sum())[0], 3),
    "a tensor made inside counts": (lambda net, x: x + torch.zeros(10, 10), 3),
    "the input alone": (lambda net, x: x.flatten(), 1),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_python_holds_counts(name: str) -> None:
    forward, tensors = CALLS[name]
    assert peak(Run(forward), (10, 10)) // 400 == tensors


def test_parameters_and_buffers_do_not_count() -> None:
    net = nn.Sequential(nn.Linear(10, 20), nn.BatchNorm1d(20), nn.ReLU(inplace=True))
    # The input, and the two sides of the norm; a Sequential's caller still holds its input.
    assert peak(net, (3, 10)) == 4 * 3 * (10 + 20 + 20)
    assert peak(net.double(), (3, 10)) == 8 * 3 * (10 + 20 + 20)


def test_attention_runs_as_one_kernel() -> None:
    """The matrix of weights, which the MACs are counted on, is never in memory."""

    def forward(net: Any, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x)

    length, width = 256, 8
    tensor, sums = 4 * 2 * length * width, 4 * 2 * length
    assert peak(Run(forward), (1, 2, length, width)) == 2 * tensor + sums


def test_the_input_must_be_known() -> None:
    with pytest.raises(CostError, match="need an input"):
        peak(nn.ReLU(), ())


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(64, 192)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).reshape(*x.shape[:2], 3, 4, 16).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)


REAL: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "attention": (Attention, (2, 100, 64)),
    "transformer layer": (lambda: nn.TransformerEncoderLayer(64, 4, 256), (100, 2, 64)),
    "lstm": (lambda: nn.LSTM(64, 64), (50, 2, 64)),
    "gru": (lambda: nn.GRU(64, 64, 2), (50, 2, 64)),
}


@pytest.mark.parametrize("name", REAL)
def test_near_what_a_real_run_holds(name: str) -> None:
    make, shape = REAL[name]
    torch.manual_seed(0)
    real, _ = measured_peak(make(), [torch.randn(shape)])
    assert peak(make(), shape) == pytest.approx(real, rel=0.02)


@pytest.mark.parametrize("name", ["darts", "mobilenetv3", "autoformer"])
def test_published_networks_hold_what_a_real_run_holds(name: str) -> None:
    space = load_space(name, (3, 64, 64), 10)
    network = space.build(space.sample(np.random.default_rng(0)))
    real, _ = measured_peak(network, [torch.randn(1, 3, 64, 64)])
    assert peak(network, (1, 3, 64, 64)) == pytest.approx(real, rel=0.01)


class UNet(nn.Module):
    """Skips of open width are held while the middle runs, whose depth is open."""

    def __init__(self) -> None:
        super().__init__()
        widths = [Choice([2, 4, 6], label=f"width{i}") for i in range(4)]
        sides = [3, *widths]
        self.down = nn.ModuleList(
            snn.Conv2d(a, b, 3, 2, 1) for a, b in zip(sides, widths, strict=False)
        )
        self.middle = Repeat(lambda i: self.block(widths[-1], f"middle{i}"), (0, 3), label="depth")
        self.up = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2), snn.Conv2d(a + b, b, 1))
            for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )

    def block(self, width: Any, label: str) -> nn.Module:
        return LayerChoice(
            {
                "none": nn.Identity,
                "in place": lambda: nn.ReLU(inplace=True),
                "wide": lambda: nn.Sequential(
                    snn.Conv2d(width, 16, 1), nn.ReLU(), snn.Conv2d(16, width, 1)
                ),
            },
            label=label,
        )

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for down in self.down:
            x = down(x).relu_()
            skips.append(x)
        x = self.middle(skips.pop())
        for up in self.up:
            skip = skips.pop()
            up_scaled = up[0](x)
            x = up[1](torch.cat([up_scaled, skip], 1))
        return x


class Aliases(nn.Module):
    """Results that are an input in some archs and a new tensor in others, along a chain."""

    def __init__(self) -> None:
        super().__init__()
        self.width = Choice([3, 5], label="width")
        self.first = snn.Conv2d(3, self.width, 1)
        self.chain = nn.Sequential(
            *(LayerChoice({"none": nn.Identity, "act": nn.GELU}, label=f"op{i}") for i in range(12))
        )
        self.pick = InputChoice(3, n_chosen=None, reduction="sum", label="pick")
        self.parts = Choice([1, 2], label="parts")

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = self.chain(x)
        if self.width == 5:
            y = y * 2
        z = self.pick([y, y.flatten(2).view_as(y), torch.ones_like(y)])
        del y
        halves = z.repeat(1, 4, 1, 1).chunk(self.parts, 1)
        return sum(half.exp() for half in halves) + z.sum()


@pytest.mark.parametrize("make", [UNet, Aliases])
def test_tables_hold_what_networks_hold(make: Callable[[], nn.Module]) -> None:
    space = ModelSpace(make)
    cost = cost_tables(space, (1, 3, 32, 32), [PEAK])[PEAK]
    assert isinstance(cost, MaxTable)
    rng = np.random.default_rng(0)
    for arch in [space.sample(rng) for _ in range(40)]:
        assert cost(arch) == peak(space.build(arch), (1, 3, 32, 32)), arch


def test_a_peak_that_hangs_on_too_much_is_traced() -> None:
    def make() -> nn.Module:
        return snn.Linear(8, sum(Choice([1, 2], label=f"width{i}") for i in range(17)))

    space = ModelSpace(make)
    cost = cost_tables(space, (1, 8), [PEAK])[PEAK]
    assert isinstance(cost, TracedCost)
    assert "cells" in cost.reason
    arch = space.sample(np.random.default_rng(0))
    assert cost(arch) == peak(space.build(arch), (1, 8))
