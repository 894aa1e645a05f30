"""Small networks in plain PyTorch whose operations NNI's profiler has counted.

Those of `DIFFERING` come with what our count has beyond NNI's, all options on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch.nn.functional as F
from torch import Tensor, nn

Shape: TypeAlias = tuple[int, ...]


def _unit(c_in: int, c_out: int, stride: int, groups: int = 1, affine: bool = True) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, stride, 1, groups=groups, bias=False),
        nn.BatchNorm2d(c_out, affine=affine),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int, affine: bool) -> None:
        super().__init__()
        self.first = _unit(channels, channels, 1, affine=affine)
        self.second = nn.Conv2d(channels, channels, 1)
        self.norm = nn.BatchNorm2d(channels, affine=affine)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x + self.norm(self.second(self.first(x))))  # type: ignore[no-any-return]


class _SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.act = nn.ReLU(inplace=True)
        self.expand = nn.Conv2d(channels // 4, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.expand(self.act(self.reduce(self.pool(x)))))  # type: ignore[no-any-return]


class _Mobile(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Sequential(
            nn.Conv2d(8, 24, 1, bias=False), nn.BatchNorm2d(24), nn.Hardswish()
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(24, 24, 5, 1, 2, groups=24, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU6(inplace=True),
        )
        self.excite = _SqueezeExcite(24)
        self.project = nn.Sequential(nn.Conv2d(24, 8, 1, bias=False), nn.BatchNorm2d(8))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(self.excite(self.depthwise(self.expand(x))))  # type: ignore[no-any-return]


class _Shuffle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(8, 16, 1, groups=4)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.grouped(x))
        n, c, h, w = y.shape
        return y.view(n, 4, c // 4, h, w).permute(0, 2, 1, 3, 4).reshape(n, c, h, w)


class _Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(12)
        self.grow = nn.Linear(12, 48)
        self.act = nn.GELU()
        self.shrink = nn.Linear(48, 12, bias=False)
        self.head = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.shrink(self.act(self.grow(self.norm(x))))
        return self.head(x.mean(dim=1))  # type: ignore[no-any-return]


class _Head(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.2)
        self.linear = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(x)
        return self.linear(self.drop(x.view(x.size(0), -1)))  # type: ignore[no-any-return]


class _Functional(nn.Module):
    """An activation that is no module."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(16, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, x, x, need_weights=False)[0]  # type: ignore[no-any-return]


class _Twice(nn.Module):
    """A module that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.inner(x))  # type: ignore[no-any-return]


EQUAL: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), _unit(8, 16, 2), _Head(16)
        ),
        (1, 3, 32, 32),
    ),
    "residual": (
        lambda: nn.Sequential(_unit(3, 8, 1), _Residual(8, True), _Residual(8, False), _Head(8)),
        (1, 3, 16, 16),
    ),
    "mobile": (lambda: nn.Sequential(_unit(3, 8, 2), _Mobile(), _Head(8)), (1, 3, 20, 20)),
    "shuffle": (lambda: nn.Sequential(_unit(3, 8, 2), _Shuffle(), _Head(16)), (1, 3, 20, 20)),
    "tokens": (_Tokens, (1, 7, 12)),
    "perceptron": (
        lambda: nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4, bias=False)),
        (1, 8),
    ),
}
DIFFERING: dict[str, tuple[Callable[[], nn.Module], Shape, int]] = {
    "functional activation": (_Functional, (1, 3, 10, 10), 8 * 8 * 8),
    # 6 tokens of 16 features, 4 heads: NNI adds the scaling of the queries and the softmax.
    "attention": (_Attention, (1, 6, 16), -(6 * 16 + 4 * 6 * 6)),
    "module that runs twice": (_Twice, (1, 16), 16 * 17),
}
