"""Random networks like MobileNetV2, on which latency estimates are judged."""

from __future__ import annotations

import random

from torch import Tensor, nn

STAGES = ((24, 2), (32, 2), (64, 2), (96, 1), (160, 2))
"""(channels at width one, stride of the first block)."""


def random_mobilenet(rng: random.Random) -> nn.Sequential:
    """Stem, inverted residuals and head in a row, in evaluation mode.

    One width of .75 and 1 for all, depths of 2 to 4 by stage, and in each block a kernel of 3, 5 or
    7 and an expansion of 3 or 6: 2 x 3^5 x 6^d networks of d = 10 to 20 such blocks.
    """
    width = rng.choice((0.75, 1.0))

    def scaled(channels: int) -> int:
        return 8 * round(channels * width / 8)

    c_in = scaled(16)
    layers: list[nn.Module] = [conv(3, scaled(32), 3, 2), InvertedResidual(scaled(32), c_in, 3)]
    for channels, stride in STAGES:
        for number in range(rng.choice((2, 3, 4))):
            kernel, expand = rng.choice((3, 5, 7)), rng.choice((3, 6))
            first = stride if number == 0 else 1
            layers.append(InvertedResidual(c_in, scaled(channels), kernel, first, expand))
            c_in = scaled(channels)
    layers.append(InvertedResidual(c_in, scaled(320), 3, 1, 6))
    pool = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    layers.append(nn.Sequential(conv(scaled(320), 1280, 1), *pool, nn.Linear(1280, 1000)))
    return nn.Sequential(*layers).eval()


def conv(
    c_in: int, c_out: int, kernel: int, stride: int = 1, *, groups: int = 1, act: bool = True
) -> nn.Sequential:
    """Convolution, batch norm and, as `act` says, an activation."""
    layers = [
        nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out),
    ]
    return nn.Sequential(*layers, *([nn.ReLU6()] if act else []))


class InvertedResidual(nn.Module):
    """Sandler et al., CVPR 2018, section 3."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, expand: int = 1
    ) -> None:
        super().__init__()
        hidden = c_in * expand
        self.residual = stride == 1 and c_in == c_out
        self.body = nn.Sequential(
            *([conv(c_in, hidden, 1)] if expand > 1 else []),
            conv(hidden, hidden, kernel, stride, groups=hidden),
            conv(hidden, c_out, 1, act=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.residual else y
