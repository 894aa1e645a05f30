"""Convolutional networks for colour images of any size, from plain to depthwise separable."""

from __future__ import annotations

from torch import Tensor, nn

from hwnas.space import Choice, LayerChoice, ModelSpace, Repeat
from hwnas.space import nn as snn


def _plain(width: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        snn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False),
        snn.BatchNorm2d(width),
        nn.ReLU(),
    )


def _separable(width: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        snn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width, bias=False),
        snn.BatchNorm2d(width),
        nn.ReLU(),
        snn.Conv2d(width, width, 1, bias=False),
        snn.BatchNorm2d(width),
        nn.ReLU(),
    )


class _Block(nn.Module):
    def __init__(self, width: int, label: str) -> None:
        super().__init__()
        self.body = LayerChoice(
            {
                "conv3": lambda: _plain(width, 3),
                "sep3": lambda: _separable(width, 3),
                "sep5": lambda: _separable(width, 5),
            },
            label=label,
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


class _Stage(nn.Module):
    """Halves the resolution, then `depth` residual blocks."""

    def __init__(self, width_in: int, width: int, name: str) -> None:
        super().__init__()
        self.down = snn.Conv2d(width_in, width, 3, stride=2, padding=1, bias=False)
        self.norm = snn.BatchNorm2d(width)
        self.act = nn.ReLU()
        self.blocks = Repeat(
            lambda i: _Block(width, f"{name}.op{i + 1}"),
            depth=Choice([1, 2, 3], label=f"{name}.depth"),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.blocks(self.act(self.norm(self.down(x))))
        return y


class ImageCNN(nn.Module):
    """Three stages at 1/2, 1/4 and 1/8 of the resolution, then global pooling and a linear head."""

    def __init__(self, input_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        width = Choice([8, 16, 24, 32], label="width")
        self.stage1 = _Stage(input_shape[0], width, "stage1")
        self.stage2 = _Stage(width, width * 2, "stage2")
        self.stage3 = _Stage(width * 2, width * 4, "stage3")
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = snn.Linear(width * 4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to class scores (N, num_classes)."""
        x = self.stage3(self.stage2(self.stage1(x)))
        scores: Tensor = self.head(self.pool(x).flatten(1))
        return scores


def image_cnn(input_shape: tuple[int, int, int] = (3, 32, 32), num_classes: int = 10) -> ModelSpace:
    """237,276 networks: `width`, and for each of three stages its depth and operators."""
    return ModelSpace(ImageCNN, input_shape, num_classes)
