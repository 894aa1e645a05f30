"""Blocks that the mobile networks of the zoo share."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from hwnas.space import nn as snn

Maker = Callable[[], nn.Module]


def conv_norm(
    c_in: int, c_out: int, kernel: int, *, stride: int = 1, groups: int = 1, act: Maker | None
) -> nn.Sequential:
    """Convolution that keeps the resolution (divided by `stride`), batch norm, activation."""
    layers = [
        snn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        snn.BatchNorm2d(c_out),
    ]
    return nn.Sequential(*layers, *([act()] if act is not None else []))


class Residual(nn.Module):
    """`x + body(x)`."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        y: Tensor = x + self.body(x)
        return y


class SqueezeExcite(nn.Module):
    """Channel weights from the mean over all positions.

    Hu et al., CVPR 2018, with the hard sigmoid and the quarter of the channels of MobileNetV3
    (Howard et al., ICCV 2019, section 5.3).
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = snn.Conv2d(channels, squeezed, 1)
        self.act = nn.ReLU()
        self.excite = snn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        y: Tensor = x * self.gate(self.excite(self.act(self.squeeze(self.pool(x)))))
        return y


def inverted_residual(
    c_in: int,
    hidden: int,
    c_out: int,
    kernel: int,
    *,
    stride: int = 1,
    act: Maker = nn.ReLU6,
    squeeze: Maker | None = None,
    residual: bool = False,
) -> nn.Module:
    """Expand to `hidden` channels, depthwise convolution, project without an activation.

    Sandler et al., CVPR 2018, section 3. `squeeze` makes a module between the depthwise
    convolution and the projection.
    """
    body = nn.Sequential(
        conv_norm(c_in, hidden, 1, act=act),
        conv_norm(hidden, hidden, kernel, stride=stride, groups=hidden, act=act),
        *([squeeze()] if squeeze is not None else []),
        conv_norm(hidden, c_out, 1, act=None),
    )
    return Residual(body) if residual else body


def separable(
    c_in: int, c_out: int, kernel: int, *, act: Maker = nn.ReLU6, residual: bool = False
) -> nn.Module:
    """The inverted residual of expansion one: a depthwise convolution and a projection."""
    body = nn.Sequential(
        conv_norm(c_in, c_in, kernel, groups=c_in, act=act),
        conv_norm(c_in, c_out, 1, act=None),
    )
    return Residual(body) if residual else body


def classifier(
    c_in: int, num_classes: int, *, features: int | None = None, act: Maker = nn.ReLU6
) -> nn.Sequential:
    """Mean over all positions, then class scores; `features`: 1x1 convolution before the mean."""
    before = [] if features is None else [conv_norm(c_in, features, 1, act=act)]
    return nn.Sequential(
        *before,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        snn.Linear(c_in if features is None else features, num_classes),
    )
