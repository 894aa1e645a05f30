"""Spaces of every kind, for the tests; importable by another process as well."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pyglove as pg
import torch
from torch import Tensor, nn

import hwnas.space as hs
from hwnas.space import (
    Arch,
    Cell,
    Choice,
    Expr,
    FunctionSpace,
    InputChoice,
    LayerChoice,
    ModelSpace,
    Repeat,
    SearchSpace,
    SizedSpace,
    from_pyglove,
    make_divisible,
    scope,
)

Int = int | Expr


class Chain(nn.Module):
    """Widths and kernels; a width is the output of one layer and, doubled, the input of others."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        width = Choice([4, 6, 8], label="width")
        self.conv1 = hs.nn.Conv2d(3, width, Choice([1, 3, 5]), padding="same")
        self.bn = hs.nn.BatchNorm2d(width)
        self.conv2 = hs.nn.Conv2d(width, width * 2, 3, padding=1, groups=2)
        self.head = hs.nn.Linear(width * 2, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(torch.relu(self.bn(self.conv1(x))))
        return self.head(x.mean((2, 3)))


class SqueezeExcite(nn.Module):
    def __init__(self, channels: Int) -> None:
        super().__init__()
        self.squeeze = hs.nn.Conv2d(channels, make_divisible(channels * 0.25, 4), 1)
        self.excite = hs.nn.Conv2d(make_divisible(channels * 0.25, 4), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3), True)))))


class InvertedResidual(nn.Module):
    def __init__(self, c_in: Int, c_out: Int, residual: bool) -> None:
        super().__init__()
        expand = Choice([2, 3])
        kernel = Choice([3, 5])
        self.expand = expand
        self.kernel = kernel
        hidden = c_in * expand
        self.pw = hs.nn.Conv2d(c_in, hidden, 1, bias=False)
        self.bn = hs.nn.BatchNorm2d(hidden)
        self.dw = hs.nn.Conv2d(hidden, hidden, kernel, padding=kernel // 2, groups=hidden)
        self.se = LayerChoice({"none": nn.Identity, "se": partial(SqueezeExcite, hidden)})
        self.pw_out = hs.nn.Conv2d(hidden, c_out, 1)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.pw_out(self.se(torch.relu(self.dw(self.bn(self.pw(x))))))
        return x + y if self.residual else y


class MobileNet(nn.Module):
    """Stages of choosable depth whose blocks choose kernel, expansion and squeeze-excite."""

    def __init__(self) -> None:
        super().__init__()
        widths = [4, Choice([4, 8], label="width1"), Choice([8, 12], label="width2")]
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.stage1 = self.stage(widths[0], widths[1], (1, 3))
        self.stage2 = self.stage(widths[1], widths[2], (1, 2))
        self.head = hs.nn.Linear(widths[2], 5)

    def stage(self, c_in: Int, c_out: Int, depth: tuple[int, int]) -> nn.Module:
        return Repeat(lambda i: InvertedResidual(c_out if i else c_in, c_out, i > 0), depth)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stage2(self.stage1(self.stem(x))).mean((2, 3)))


class BenchCell(nn.Module):
    """A cell of four nodes in which each of the six edges chooses its operation."""

    edges = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        candidates = {
            "skip": nn.Identity,
            "conv1x1": lambda: nn.Conv2d(channels, channels, 1),
            "conv3x3": lambda: nn.Conv2d(channels, channels, 3, padding=1),
            "pool": lambda: nn.AvgPool2d(3, 1, 1),
        }
        self.stem = nn.Conv2d(3, channels, 1)
        self.ops = nn.ModuleList(LayerChoice(candidates, label=f"{j}<-{i}") for i, j in self.edges)
        self.head = nn.Linear(channels, 5)

    def forward(self, x: Tensor) -> Tensor:
        nodes: dict[int, Tensor] = {0: self.stem(x)}
        for (i, j), op in zip(self.edges, self.ops, strict=True):
            nodes[j] = nodes.get(j, 0) + op(nodes[i])
        return self.head(nodes[3].mean((2, 3)))


class Darts(nn.Module):
    """Cells whose loose ends are concatenated, so that the next layer's width depends on them."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.stem = hs.nn.Conv2d(3, channels, Choice([1, 3]), padding="same")
        self.cell = Cell(
            {
                "conv": lambda node, source: hs.nn.Conv2d(
                    channels, channels, Choice([1, 3]), padding="same"
                ),
                "skip": nn.Identity,
            },
            num_nodes=3,
            num_ops_per_node=1,
            num_predecessors=2,
            merge_op="loose_end",
        )
        self.shortcut = InputChoice(["stem", "double", "triple"], n_chosen=None, reduction="mean")
        self.head = hs.nn.Linear(self.cell.loose_ends * channels, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(self.cell(x, self.shortcut([x, 2 * x, 3 * x])).mean((2, 3)))


class Attention(nn.Module):
    def __init__(self, dim: Int, heads: Int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = hs.nn.Linear(dim, 3 * dim)
        self.out = hs.nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(batch, length, dim))


class Block(nn.Module):
    def __init__(self, dim: Int) -> None:
        super().__init__()
        self.ratio = Choice([1, 2])
        self.norm = hs.nn.LayerNorm(dim)
        self.attention = Attention(dim, Choice([2, 4]))
        self.mlp = nn.Sequential(
            hs.nn.Linear(dim, dim * self.ratio), nn.GELU(), hs.nn.Linear(dim * self.ratio, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm(x))
        return x + self.mlp(x)


class Transformer(nn.Module):
    """Embedding width, heads, expansion and depth vary; a bare parameter varies with the width."""

    def __init__(self, length: int = 4) -> None:
        super().__init__()
        dim = Choice([8, 12], label="dim")
        self.embed = hs.nn.Linear(3, dim)
        self.position = hs.nn.parameter(1, length, dim, init=nn.init.normal_)
        self.blocks = Repeat(lambda i: Block(dim), depth=Choice([0, 1, 3], label="depth"))
        self.head = hs.nn.Linear(dim, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x.flatten(2).transpose(1, 2)) + self.position
        return self.head(self.blocks(x).mean(1))


class Nested(nn.Module):
    """Choices inside choices inside choices, a condition, and one label at two places."""

    def __init__(self, channels: Int) -> None:
        super().__init__()
        with scope("stem"):
            self.stem = hs.nn.Conv2d(3, channels, Choice([1, 3], label="kernel"), padding="same")
        dilated = Choice([False, True], label="dilated")
        self.body = Repeat(
            lambda i: LayerChoice(
                [
                    nn.Identity,
                    lambda: hs.nn.Conv2d(
                        channels, channels, Choice([1, 3, 5], label="kernel"), padding="same"
                    ),
                    lambda: Repeat(lambda j: nn.Sequential(Wide(channels)), (0, 2)),
                ]
            ),
            (0, 2),
        )
        self.rate = Choice([2, 3], label="rate", when=dilated == True)  # noqa: E712
        self.head = hs.nn.Linear(channels, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(self.stem(x)).mean((2, 3))
        return self.head(x if self.rate is None else x * self.rate)


class Wide(nn.Module):
    def __init__(self, channels: Int) -> None:
        super().__init__()
        self.kernel = Choice([1, 3], label="wide")
        self.conv = hs.nn.Conv2d(channels, channels, self.kernel, padding=self.kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def perceptron(arch: Arch) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten(), nn.LazyLinear(int(arch["width"]))]
    if arch["norm"]:
        layers.append(nn.BatchNorm1d(int(arch["width"]), eps=float(arch["eps"])))
    return nn.Sequential(*layers, {"relu": nn.ReLU, "tanh": nn.Tanh}[str(arch["act"])]())


def perceptron_space() -> SearchSpace:
    norm = Choice([False, True], label="norm")
    return FunctionSpace(
        {
            "width": [4, 8],
            "act": ["relu", "tanh"],
            "norm": norm,
            "eps": Choice([1e-5, 1e-3, 0.1], when=norm == True),  # noqa: E712
        },
        perceptron,
    )


def hyper_network(value: pg.Dict) -> nn.Module:
    layers = [nn.Conv2d(3, value.width, layer.kernel, padding="same") for layer in value.layers]
    return nn.Sequential(*layers[:1], nn.Flatten())


def pyglove_space() -> SearchSpace:
    return from_pyglove(
        {
            "width": pg.one_of([4, 8]),
            "layers": [pg.Dict(kernel=pg.one_of([1, 3])), pg.Dict(kernel=3)],
            "extra": pg.one_of([None, pg.Dict(rate=pg.one_of([2, 3]))]),
            "order": pg.sublist_of(2, ["a", "b", pg.one_of([1, 2])]),
            "free": pg.sublist_of(2, [1, 2], choices_distinct=False),
        },
        hyper_network,
    )


def network(setup: Callable[[nn.Module], None]) -> type[nn.Module]:
    """A module class whose constructor runs `setup(self)`."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            setup(self)

    return Net


def conditions(space: SearchSpace) -> dict[str, str]:
    """Label -> condition."""
    return {d.label: str(d.condition) for d in space.decisions}


SPACES: dict[str, Callable[[], SearchSpace]] = {
    "chain": lambda: ModelSpace(Chain),
    "mobilenet": lambda: ModelSpace(MobileNet),
    "bench_cell": lambda: ModelSpace(BenchCell),
    "darts": lambda: ModelSpace(Darts, channels=4),
    "transformer": lambda: ModelSpace(Transformer),
    "nested": lambda: ModelSpace(Nested, Choice([4, 8])),
    "fixed": lambda: ModelSpace(lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(5))),
    "function": perceptron_space,
    "pyglove": pyglove_space,
    "sized": lambda: SizedSpace(ModelSpace(Chain), (2, 4, 8)),
}

INPUT = (2, 3, 2, 2)
