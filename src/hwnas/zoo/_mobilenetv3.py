"""MobileNetV3 with every width, depth, kernel, expansion and squeeze left open."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from hwnas.space import Choice, LayerChoice, ModelSpace, Repeat, make_divisible
from hwnas.space import nn as snn
from hwnas.zoo._mobile import Maker, SqueezeExcite, conv_norm, inverted_residual, separable

WIDTHS = (0.5, 0.625, 0.75, 1.0, 1.25, 1.5, 2.0)
EXPANSIONS = (1.0, 2.3, 2.5, 3.0, 4.0, 6.0)
KERNELS = (3, 5, 7)


class Stage(NamedTuple):
    """One stage of MobileNetV3-Large."""

    channels: int
    stride: int
    act: Maker
    squeeze: bool


STAGES = (
    Stage(24, 2, nn.ReLU, False),
    Stage(40, 2, nn.ReLU, True),
    Stage(80, 2, nn.Hardswish, False),
    Stage(112, 1, nn.Hardswish, True),
    Stage(160, 2, nn.Hardswish, True),
)


def block(
    index: int,
    c_in: int,
    c_out: int,
    stage: Stage,
    name: str,
    expansions: Sequence[float],
    optional: bool,
) -> nn.Module:
    """Block `index` (from 0) of a stage: chooses its expansion and kernel.

    Args:
        c_in, c_out: channels before and after the stage.
        name: prefix of the labels.
        optional: squeeze-and-excite, where the stage has it, is a choice too.
    """
    name = f"{name}.block{index + 1}"
    first = index == 0
    source = c_in if first else c_out
    hidden = make_divisible(source * Choice(expansions, label=f"{name}.expand"), 8)
    squeeze = partial(SqueezeExcite, hidden, make_divisible(hidden // 4, 8))
    candidates: dict[str, Maker] = {"none": nn.Identity, "se": squeeze}
    choice = partial(LayerChoice, candidates, label=f"{name}.squeeze")
    return inverted_residual(
        source,
        hidden,
        c_out,
        Choice(KERNELS, label=f"{name}.kernel"),
        stride=stage.stride if first else 1,
        act=stage.act,
        squeeze=(choice if optional else squeeze) if stage.squeeze else None,
        residual=not first,
    )


def head(c_in: int, wide: int, features: int, num_classes: int, *, bias: bool) -> nn.Sequential:
    """Class scores through two wide layers; `bias`: whether the second has one."""
    return nn.Sequential(
        conv_norm(c_in, wide, 1, act=nn.Hardswish),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        snn.Linear(wide, features, bias=bias),
        nn.Hardswish(),
        nn.Dropout(0.2),
        snn.Linear(features, num_classes),
    )


class MobileNetV3(nn.Module):
    """Stem, five stages of inverted residuals, and a head of two wide layers."""

    def __init__(self, input_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        c_in = _width(16, "stem")
        self.stem = conv_norm(
            input_shape[0], c_in, Choice((3, 5), label="stem.kernel"), stride=2, act=nn.Hardswish
        )
        kernel = Choice(KERNELS, label="stem.separable_kernel")
        self.separable = separable(c_in, c_in, kernel, act=nn.ReLU, residual=True)
        stages = []
        for number, stage in enumerate(STAGES, start=1):
            name = f"stage{number}"
            c_out = _width(stage.channels, name)
            make = partial(
                block,
                c_in=c_in,
                c_out=c_out,
                stage=stage,
                name=name,
                expansions=EXPANSIONS,
                optional=True,
            )
            stages.append(Repeat(make, (1, 4), label=f"{name}.depth"))
            c_in = c_out
        self.stages = nn.Sequential(*stages)
        wide, features = _width(960, "head"), _width(1280, "features")
        self.head = head(c_in, wide, features, num_classes, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to class scores (N, num_classes)."""
        scores: Tensor = self.head(self.stages(self.separable(self.stem(x))))
        return scores


def _width(channels: int, name: str) -> int:
    width: int = make_divisible(channels * Choice(WIDTHS, label=f"{name}.width"), 8)
    return width


def mobilenetv3(
    input_shape: tuple[int, int, int] = (3, 224, 224), num_classes: int = 1000
) -> ModelSpace:
    """About 2 x 10^36 networks round MobileNetV3-Large (Howard et al., ICCV 2019, table 1).

    The skeleton (channels, strides, activations) and the expansion ratios are that table's. Open
    are 67 decisions, chosen as in the largest space of TuNAS (Bender et al., CVPR 2020, appendix):
    eight width multipliers (`stem.width`, `stage1.width`, ..., `head.width`, `features.width`;
    channels are rounded to multiples of eight), five depths (`stage1.depth`), and for each block
    `stage1.block1.kernel`, `.expand`, and `.squeeze` where the table has squeeze-and-excite in
    the stage. MobileNetV3-Large itself is one of them. (10^39 combinations, when choices of blocks
    that are not there are counted too.)
    """
    return ModelSpace(MobileNetV3, input_shape, num_classes)
