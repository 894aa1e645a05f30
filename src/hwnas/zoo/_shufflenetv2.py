"""The single-path one-shot space: ShuffleNetV2 units that choose their kernel or a deeper form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from hwnas.space import LayerChoice, ModelSpace
from hwnas.zoo._mobile import Maker, classifier, conv_norm

STAGES = ((64, 4), (160, 4), (320, 8), (640, 4))
"""(channels, number of blocks); the first block of a stage halves the resolution."""


def _branch(
    c_in: int, hidden: int, c_out: int, kernel: int, stride: int, deep: bool
) -> nn.Sequential:
    """Pointwise, depthwise, pointwise; if `deep`, three depthwise-pointwise pairs."""

    def pointwise(source: int, target: int) -> nn.Module:
        return conv_norm(source, target, 1, act=nn.ReLU)

    def depthwise(width: int, step: int = 1) -> nn.Module:
        return conv_norm(width, width, kernel, stride=step, groups=width, act=None)

    if deep:
        return nn.Sequential(
            *(depthwise(c_in, stride), pointwise(c_in, hidden)),
            *(depthwise(hidden), pointwise(hidden, hidden)),
            *(depthwise(hidden), pointwise(hidden, c_out)),
        )
    return nn.Sequential(
        pointwise(c_in, hidden), depthwise(hidden, stride), pointwise(hidden, c_out)
    )


class _Unit(nn.Module):
    """Half of the channels pass, the branch works on the other half; then both are shuffled."""

    def __init__(self, channels: int, kernel: int, deep: bool) -> None:
        super().__init__()
        half = channels // 2
        self.branch = _branch(half, half, half, kernel, 1, deep)
        self.shuffle = nn.ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        passed, worked = x.chunk(2, 1)
        y: Tensor = self.shuffle(torch.cat((passed, self.branch(worked)), 1))
        return y


class _Reduction(nn.Module):
    """Both branches see all channels and halve the resolution."""

    def __init__(self, c_in: int, c_out: int, passed: int, kernel: int, deep: bool) -> None:
        super().__init__()
        self.shortcut = nn.Sequential(
            conv_norm(c_in, c_in, kernel, stride=2, groups=c_in, act=None),
            conv_norm(c_in, passed, 1, act=nn.ReLU),
        )
        self.branch = _branch(c_in, c_out // 2, c_out - passed, kernel, 2, deep)
        self.shuffle = nn.ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.shuffle(torch.cat((self.shortcut(x), self.branch(x)), 1))
        return y


class ShuffleNetV2(nn.Module):
    """Stem, stages of ShuffleNetV2 units, and a head.

    Args:
        stages: (channels, number of blocks) of each stage.
        stem: channels of the first convolution.
        pooled: put a max pooling after the stem, and give half of a reduction's channels to its
            shortcut, as ShuffleNetV2 itself does (Ma et al., ECCV 2018, section 3 and table 5);
            otherwise the shortcut keeps its number of channels, as in the single-path space.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        stages: tuple[tuple[int, int], ...] = STAGES,
        stem: int = 16,
        pooled: bool = False,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_norm(input_shape[0], stem, 3, stride=2, act=nn.ReLU),
            *([nn.MaxPool2d(3, 2, 1)] if pooled else []),
        )
        c_in, blocks = stem, []
        for stage, (c_out, count) in enumerate(stages, start=1):
            passed = c_out // 2 if pooled else c_in
            for number in range(1, count + 1):
                unit: Callable[..., nn.Module] = partial(_Unit, c_out)
                if number == 1:
                    unit = partial(_Reduction, c_in, c_out, passed)
                candidates: dict[str, Maker] = {
                    "k3": partial(unit, kernel=3, deep=False),
                    "k5": partial(unit, kernel=5, deep=False),
                    "k7": partial(unit, kernel=7, deep=False),
                    "xception": partial(unit, kernel=3, deep=True),
                }
                blocks.append(LayerChoice(candidates, label=f"stage{stage}.block{number}.op"))
            c_in = c_out
        self.blocks = nn.Sequential(*blocks)
        self.head = classifier(c_in, num_classes, features=1024, act=nn.ReLU)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to class scores (N, num_classes)."""
        scores: Tensor = self.head(self.blocks(self.stem(x)))
        return scores


def shufflenetv2(
    input_shape: tuple[int, int, int] = (3, 224, 224), num_classes: int = 1000
) -> ModelSpace:
    """4^20 networks: the space of Single Path One-Shot (Guo et al., ECCV 2020, section 4).

    20 decisions such as `stage1.block1.op`: kernel `k3`, `k5`, `k7`, or `xception`, three
    depthwise convolutions in a row.
    """
    return ModelSpace(ShuffleNetV2, input_shape, num_classes)
