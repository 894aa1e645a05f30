"""FBNet: 22 layers, each one of nine inverted residuals or a skip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from torch import Tensor, nn

from hwnas.errors import ArchError
from hwnas.space import Arch, LayerChoice, ModelSpace, Value
from hwnas.zoo._mobile import Maker, Residual, classifier, conv_norm

OPERATIONS = (
    *("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6"),
    *("k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip"),
)
"""Kernel, expansion, groups of the 1x1 convolutions; a layer's index is its place here."""

STAGES = ((16, 1, 1), (24, 2, 4), (32, 2, 4), (64, 2, 4), (112, 1, 4), (184, 2, 4), (352, 1, 1))
"""(channels, stride of the first layer, number of layers)."""

_LAYERS = sum(layers for _, _, layers in STAGES)


def _operation(name: str, c_in: int, c_out: int, stride: int) -> nn.Module:
    same = stride == 1 and c_in == c_out
    if name == "skip":
        return nn.Identity() if same else conv_norm(c_in, c_out, 1, stride=stride, act=nn.ReLU)
    kernel, hidden = int(name[1]), c_in * int(name[4])
    groups = 2 if name.endswith("_g2") else 1
    body = nn.Sequential(
        conv_norm(c_in, hidden, 1, groups=groups, act=nn.ReLU),
        *([nn.ChannelShuffle(groups)] if groups > 1 else []),
        conv_norm(hidden, hidden, kernel, stride=stride, groups=hidden, act=nn.ReLU),
        conv_norm(hidden, c_out, 1, groups=groups, act=None),
    )
    return Residual(body) if same else body


class FBNet(nn.Module):
    """Stem, 22 layers in seven stages, and a head.

    Args:
        small: keep the resolution in the stem and in the second stage, for images of 32 pixels.
    """

    def __init__(self, input_shape: tuple[int, int, int], num_classes: int, small: bool) -> None:
        super().__init__()
        self.stem = conv_norm(input_shape[0], 16, 3, stride=1 if small else 2, act=nn.ReLU)
        c_in = 16
        layers: list[nn.Module] = []
        for stage, (c_out, stride, count) in enumerate(STAGES):
            for number in range(count):
                step = stride if number == 0 and not (small and stage == 1) else 1
                candidates: dict[str, Maker] = {
                    name: partial(_operation, name, c_in, c_out, step) for name in OPERATIONS
                }
                layers.append(LayerChoice(candidates, label=_label(len(layers))))
                c_in = c_out
        self.layers = nn.Sequential(*layers)
        self.head = classifier(c_in, num_classes, features=1984, act=nn.ReLU)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to class scores (N, num_classes)."""
        scores: Tensor = self.head(self.layers(self.stem(x)))
        return scores


def fbnet(input_shape: tuple[int, int, int] = (3, 224, 224), num_classes: int = 1000) -> ModelSpace:
    """9^22 networks: the layer-wise space of FBNet (Wu et al., CVPR 2019, tables 1 and 2).

    One decision a layer: `layer1` ... `layer22`. A skip that must change the shape is a 1x1
    convolution. For images under 64 pixels two strides are left out, as HW-NAS-Bench does for
    CIFAR-100 (Li et al., ICLR 2021, section 3.1).
    """
    return ModelSpace(FBNet, input_shape, num_classes, small=min(input_shape[1:]) < 64)


def read_fbnet(indices: Sequence[int]) -> Arch:
    """The arch of 22 operation indices in the order of HW-NAS-Bench (see `OPERATIONS`).

    Raises:
        ArchError: these are not 22 numbers from 0 to 8.
    """
    if len(indices) != _LAYERS or not all(i in range(len(OPERATIONS)) for i in indices):
        raise ArchError(f"FBNet: an arch is {_LAYERS} indices from 0 to 8, not {list(indices)}")
    return {_label(layer): OPERATIONS[i] for layer, i in enumerate(indices)}


def write_fbnet(arch: Mapping[str, Value]) -> list[int]:
    """The 22 operation indices of an arch.

    Raises:
        ArchError: the arch is none of the space `fbnet`.
    """
    try:
        return [OPERATIONS.index(str(arch[_label(layer)])) for layer in range(_LAYERS)]
    except (KeyError, ValueError) as error:
        raise ArchError(f"FBNet: the arch is wrong at {error}") from error


def _label(layer: int) -> str:
    return f"layer{layer + 1}"
