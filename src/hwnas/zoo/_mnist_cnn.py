"""The two-convolution network of Google's Vertex AI NAS tutorial."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hwnas.space import Choice, ModelSpace
from hwnas.space import nn as snn


class MnistCNN(nn.Module):
    """Two biased convolutions that keep the resolution, then one dense layer."""

    def __init__(self, input_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        channels, height, width = input_shape
        first = Choice([3, 4, 5], label="filters1")
        second = Choice([6, 8, 10], label="filters2")
        kernel1 = Choice([3, 5], label="kernel1")
        kernel2 = Choice([3, 5], label="kernel2")
        self.conv1 = snn.Conv2d(channels, first, kernel1, padding="same")
        self.conv2 = snn.Conv2d(first, second, kernel2, padding="same")
        self.head = snn.Linear(second * (height * width), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to class scores (N, num_classes)."""
        x = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        scores: Tensor = self.head(x.flatten(1))
        return scores


def mnist_cnn(input_shape: tuple[int, int, int] = (1, 28, 28), num_classes: int = 10) -> ModelSpace:
    """36 networks: kernel 3 or 5 and 3, 4 or 5 filters, then kernel 3 or 5 and 6, 8 or 10 filters.

    For 28x28 grey images they take 397,498 to 2,324,570 FLOPs, counted as the tutorial counts
    (2 x MACs + biases).
    """
    return ModelSpace(MnistCNN, input_shape, num_classes)
