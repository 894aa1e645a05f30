"""The space of ProxylessNAS: inverted residuals that choose kernel, expansion and presence."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from hwnas.space import LayerChoice, ModelSpace, Repeat
from hwnas.zoo._mobile import Maker, classifier, conv_norm, inverted_residual, separable

CHANNELS = (32, 40, 80, 96, 192, 320)
STAGES = ((2, 4), (2, 4), (2, 4), (1, 4), (2, 4), (1, 1))
"""(stride of the first block, largest number of blocks)."""


def _block(index: int, c_in: int, c_out: int, stride: int, name: str) -> nn.Module:
    first = index == 0
    source = c_in if first else c_out
    candidates: dict[str, Maker] = {
        f"k{kernel}_e{expand}": partial(
            inverted_residual,
            source,
            source * expand,
            c_out,
            kernel,
            stride=stride if first else 1,
            residual=not first,
        )
        for expand in (3, 6)
        for kernel in (3, 5, 7)
    }
    return LayerChoice(candidates, label=f"{name}.block{index + 1}.op")


class ProxylessNAS(nn.Module):
    """Stem, six stages of one to four blocks, and a head.

    Args:
        channels: of the six stages. The default is ProxylessNAS-Mobile's; the latency table that
            the authors measured on a phone is for a first stage of 24.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        channels: Sequence[int] = CHANNELS,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_norm(input_shape[0], 32, 3, stride=2, act=nn.ReLU6), separable(32, 16, 3)
        )
        c_in = 16
        stages: list[nn.Module] = []
        for number, c_out in enumerate(channels, start=1):
            name = f"stage{number}"
            stride, blocks = STAGES[number - 1]
            block = partial(_block, c_in=c_in, c_out=c_out, stride=stride, name=name)
            if blocks > 1:
                stages.append(Repeat(block, (1, blocks), label=f"{name}.depth"))
            else:
                stages.append(block(0))
            c_in = c_out
        self.stages = nn.Sequential(*stages)
        self.head = classifier(c_in, num_classes, features=1280)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to class scores (N, num_classes)."""
        scores: Tensor = self.head(self.stages(self.stem(x)))
        return scores


def proxylessnas(
    input_shape: tuple[int, int, int] = (3, 224, 224),
    num_classes: int = 1000,
    channels: Sequence[int] = CHANNELS,
) -> ModelSpace:
    """About 5 x 10^16 networks of 21 inverted residuals (Cai et al., ICLR 2019, section 4.2).

    26 decisions: `stage1.block1.op` is one of `k3_e3` ... `k7_e6` (kernel, expansion), and a block
    of the paper that may be skipped is here the last of a stage of `stage1.depth` blocks: the same
    networks, each once.
    """
    return ModelSpace(ProxylessNAS, input_shape, num_classes, tuple(channels))
