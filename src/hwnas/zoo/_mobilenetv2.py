"""MobileNetV2 whose inverted residuals choose kernel, expansion and presence."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from hwnas.space import LayerChoice, ModelSpace
from hwnas.zoo._mobile import Maker, classifier, conv_norm, inverted_residual, separable

STAGES = ((24, 2, 4), (32, 2, 4), (64, 2, 4), (96, 1, 4), (160, 2, 4), (320, 1, 1))
"""(channels, stride of the first block, number of blocks)."""


def _block(c_in: int, c_out: int, stride: int, label: str) -> nn.Module:
    residual = stride == 1 and c_in == c_out
    candidates: dict[str, Maker] = {
        f"k{kernel}_e{expand}": partial(
            inverted_residual,
            c_in,
            c_in * expand,
            c_out,
            kernel,
            stride=stride,
            residual=residual,
        )
        for kernel in (3, 5, 7)
        for expand in (3, 6)
    }
    if residual:
        candidates["skip"] = nn.Identity
    return LayerChoice(candidates, label=label)


class MobileNetV2(nn.Module):
    """Stem, 21 blocks in six stages, and a head."""

    def __init__(self, input_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_norm(input_shape[0], 32, 3, stride=2, act=nn.ReLU6), separable(32, 16, 3)
        )
        c_in, blocks = 16, []
        for stage, (c_out, stride, count) in enumerate(STAGES, start=1):
            for number in range(1, count + 1):
                label = f"stage{stage}.block{number}.op"
                blocks.append(_block(c_in, c_out, stride if number == 1 else 1, label))
                c_in = c_out
        self.blocks = nn.Sequential(*blocks)
        self.head = classifier(c_in, num_classes, features=1280)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to class scores (N, num_classes)."""
        scores: Tensor = self.head(self.blocks(self.stem(x)))
        return scores


def mobilenetv2(
    input_shape: tuple[int, int, int] = (3, 224, 224), num_classes: int = 1000
) -> ModelSpace:
    """6^6 x 7^15 networks round MobileNetV2 (Sandler et al., CVPR 2018, table 2).

    The search network of nnabla-nas: 21 blocks, each with kernel 3, 5 or 7 and expansion 3 or 6
    (`stage1.block1.op`: `k3_e3` ... `k7_e6`), or `skip` where shapes allow. MobileNetV2 is the one
    with kernels of 3, expansions of 6 and five blocks skipped.
    """
    return ModelSpace(MobileNetV2, input_shape, num_classes)
