"""Small convolutional networks for small grey images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hwnas.space import Choice, ModelSpace, Repeat
from hwnas.space import nn as snn


class _Block(nn.Module):
    """Convolution, norm, ReLU, with a way round; (N, width, H, W) to the same shape."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.conv = snn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False)
        self.norm = snn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.norm(self.conv(x)))


class DigitsCNN(nn.Module):
    """Stem, `depth` blocks of `width` channels, each with its kernel, pooling and a linear head."""

    def __init__(self, input_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        channels, height, width_ = input_shape
        width = Choice([8, 16, 24, 32], label="width")
        self.stem = snn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm = snn.BatchNorm2d(width)
        self.blocks = Repeat(
            lambda i: _Block(width, Choice([3, 5], label=f"kernel{i + 1}")),
            depth=Choice([1, 2, 3], label="depth"),
        )
        self.pool = nn.MaxPool2d(2)
        self.head = snn.Linear(width * ((height // 2) * (width_ // 2)), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to class scores (N, num_classes)."""
        x = torch.relu(self.norm(self.stem(x)))
        x = self.pool(self.blocks(x))
        scores: Tensor = self.head(x.flatten(1))
        return scores


def digits_cnn(input_shape: tuple[int, int, int] = (1, 8, 8), num_classes: int = 10) -> ModelSpace:
    """56 networks: `width`, `depth`, and for each block that is there its `kernel`."""
    return ModelSpace(DigitsCNN, input_shape, num_classes)
