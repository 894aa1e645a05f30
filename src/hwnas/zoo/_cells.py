"""Networks of two repeated cells, normal and reduction, and the operations in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from hwnas.space import Cell
from hwnas.space import nn as snn


class _Zero(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


class _FactorizedReduce(nn.Module):
    """Halve the resolution with two 1x1 convolutions, one of them shifted by a pixel."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.pad = nn.ZeroPad2d((0, 1, 0, 1))
        self.even = snn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.odd = snn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.norm = snn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        y: Tensor = self.norm(torch.cat((self.even(x), self.odd(self.pad(x)[:, :, 1:, 1:])), 1))
        return y


def _relu_conv_norm(c_in: int, c_out: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        snn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False),
        snn.BatchNorm2d(c_out),
    )


def _separable(c: int, kernel: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    """ReLU, depthwise convolution, pointwise convolution, norm."""
    padding = kernel // 2 * dilation
    return [
        nn.ReLU(),
        snn.Conv2d(c, c, kernel, stride, padding, dilation, groups=c, bias=False),
        snn.Conv2d(c, c, 1, bias=False),
        snn.BatchNorm2d(c),
    ]


def _two_sided(c: int, kernel: int, stride: int) -> nn.Sequential:
    """A 1 x kernel and a kernel x 1 convolution."""
    half = kernel // 2
    return nn.Sequential(
        nn.ReLU(),
        snn.Conv2d(c, c, (1, kernel), (1, stride), (0, half), bias=False),
        snn.Conv2d(c, c, (kernel, 1), (stride, 1), (half, 0), bias=False),
        snn.BatchNorm2d(c),
    )


def _average(c: int, stride: int) -> nn.Module:
    return nn.AvgPool2d(3, stride, 1, count_include_pad=False)


def _maximum(kernel: int, c: int, stride: int) -> nn.Module:
    return nn.MaxPool2d(kernel, stride, kernel // 2)


def _twice(kernel: int, c: int, stride: int) -> nn.Module:
    return nn.Sequential(*_separable(c, kernel, stride), *_separable(c, kernel, 1))


OPERATIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "none": lambda c, stride: _Zero(stride),
    "skip_connect": lambda c, stride: nn.Identity() if stride == 1 else _FactorizedReduce(c, c),
    "avg_pool_3x3": _average,
    "max_pool_3x3": partial(_maximum, 3),
    "max_pool_5x5": partial(_maximum, 5),
    "max_pool_7x7": partial(_maximum, 7),
    "conv_1x1": lambda c, stride: _relu_conv_norm(c, c, 1, stride),
    "conv_3x3": lambda c, stride: _relu_conv_norm(c, c, 3, stride),
    "conv_1x3_3x1": lambda c, stride: _two_sided(c, 3, stride),
    "conv_1x7_7x1": lambda c, stride: _two_sided(c, 7, stride),
    "sep_conv_3x3": partial(_twice, 3),
    "sep_conv_5x5": partial(_twice, 5),
    "sep_conv_7x7": partial(_twice, 7),
    "dil_conv_3x3": lambda c, stride: nn.Sequential(*_separable(c, 3, stride, 2)),
    "dil_conv_5x5": lambda c, stride: nn.Sequential(*_separable(c, 5, stride, 2)),
}
"""Name -> what makes the operation for `channels` and `stride`."""


class _Align(nn.Module):
    """Bring the outputs of the last two cells to one width and one resolution."""

    def __init__(self, before: int, last: int, channels: int, halve: bool) -> None:
        super().__init__()
        align = _FactorizedReduce if halve else _relu_conv_norm
        self.before = align(before, channels)
        self.last = _relu_conv_norm(last, channels)

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        return [self.before(inputs[0]), self.last(inputs[1])]


def _operation(
    node: int, source: int, make: Callable[[int, int], nn.Module], channels: int, reduce: bool
) -> nn.Module:
    """The operation on an edge; in a reduction cell those that read its inputs have stride 2."""
    return make(channels, 2 if reduce and source < 2 else 1)


def _stem(c_in: int, width: int, large: bool) -> nn.Sequential:
    if not large:
        return nn.Sequential(
            snn.Conv2d(c_in, width, 3, padding=1, bias=False), snn.BatchNorm2d(width)
        )
    return nn.Sequential(
        snn.Conv2d(c_in, width // 2, 3, 2, 1, bias=False),
        snn.BatchNorm2d(width // 2),
        nn.ReLU(),
        snn.Conv2d(width // 2, width, 3, 2, 1, bias=False),
        snn.BatchNorm2d(width),
    )


class CellNet(nn.Module):
    """Stem, `cells` cells of which those at one and two thirds halve the resolution, and a head.

    All normal cells are one graph, all reduction cells another; each has weights of its own.
    Images from 64 pixels up get the stem of three strides that the papers use for ImageNet.

    Args:
        operations: names in `OPERATIONS`.
        nodes: how many nodes a cell has, each the sum of two operations.
        loose: concatenate only the nodes that no other reads, not all.
        channels: of an operation in the first cells; a reduction doubles them.
        cells: 3 N + 2 for N normal cells in a row.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        operations: Sequence[str],
        nodes: int,
        loose: bool,
        channels: int,
        cells: int,
    ) -> None:
        super().__init__()
        large = min(input_shape[1:]) >= 64
        width = channels if large else 3 * channels
        self.stem = _stem(input_shape[0], width, large)
        self.second = _relu_conv_norm(width, width, 3, 2) if large else nn.Identity()
        before = last = width
        halved = large
        self.cells = nn.ModuleList()
        for number in range(cells):
            reduce = number in (cells // 3, 2 * cells // 3)
            channels *= 2 if reduce else 1
            candidates = {
                name: partial(_operation, make=OPERATIONS[name], channels=channels, reduce=reduce)
                for name in operations
            }
            cell = Cell(
                candidates,
                num_nodes=nodes,
                num_ops_per_node=2,
                num_predecessors=2,
                merge_op="loose_end" if loose else "all",
                preprocessor=partial(_Align, before, last, channels, halved),
                label="reduce" if reduce else "normal",
            )
            self.cells.append(cell)
            before, last, halved = last, cell.loose_ends * channels, reduce
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), snn.Linear(last, num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to class scores (N, num_classes)."""
        before = self.stem(x)
        last = self.second(before)
        for cell in self.cells:
            before, last = last, cell(before, last)
        scores: Tensor = self.head(last)
        return scores
