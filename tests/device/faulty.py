"""Models that spoil a measurement, each in its own way."""

from __future__ import annotations

import ctypes
import os
import time

import torch
from torch import Tensor, nn

SHAPE = (1, 3, 8, 8)


@torch.library.custom_op("hwnas_tests::odd", mutates_args=())
def odd(x: Tensor) -> Tensor:
    """An operator that PyTorch knows and no other runtime does."""
    return x + 1


@odd.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


def good(width: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Flatten())


class NanOutput(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log(-1 - x.abs())


class UnknownOperator(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.hwnas_tests.odd(x) * 2


class DynamicShape(nn.Module):
    """The size of its output depends on the values of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_ones(int(x.abs().sum()) + 1) * 2


class SegmentationFault(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        ctypes.string_at(0)
        return x


class Hangs(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(3600)
        return x


class TooLarge(nn.Module):
    """Activations of 32 GiB."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_ones(8, 1 << 30).sum() + x


class FailsLater(nn.Module):
    """Kills its process after some calls: not while it is loaded, but while it is timed."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > 4:
            os.abort()
        return x * 2


class RaisesLater(FailsLater):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > 4:
            raise ZeroDivisionError("at the fifth call")
        return x * 2
