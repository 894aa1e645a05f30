"""Once-for-All's MobileNetV3: kernels, expansions and depths of five stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from hwnas.errors import ArchError
from hwnas.space import Arch, Choice, ModelSpace, Repeat, Value, make_divisible
from hwnas.zoo._mobile import conv_norm, separable
from hwnas.zoo._mobilenetv3 import KERNELS, STAGES, block, head

EXPANSIONS = (3, 4, 6)
DEPTHS = (2, 3, 4)


class OfaMobileNetV3(nn.Module):
    """Stem, five stages of inverted residuals, and MobileNetV3's head.

    Args:
        width: multiplies all channels; Once-for-All published networks of 1.0 and 1.2.
    """

    def __init__(
        self, input_shape: tuple[int, int, int], num_classes: int, width: float = 1.0
    ) -> None:
        super().__init__()

        def scaled(channels: int) -> int:
            return int(make_divisible(channels * width, 8))

        c_in = scaled(16)
        self.stem = nn.Sequential(
            conv_norm(input_shape[0], c_in, 3, stride=2, act=nn.Hardswish),
            separable(c_in, c_in, 3, act=nn.ReLU, residual=True),
        )
        stages = []
        for number, stage in enumerate(STAGES, start=1):
            name, c_out = f"stage{number}", scaled(stage.channels)
            make = partial(
                block,
                c_in=c_in,
                c_out=c_out,
                stage=stage,
                name=name,
                expansions=EXPANSIONS,
                optional=False,
            )
            stages.append(Repeat(make, Choice(DEPTHS, label=f"{name}.depth")))
            c_in = c_out
        self.stages = nn.Sequential(*stages)
        self.head = head(c_in, scaled(960), scaled(1280), num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) of any size to class scores (N, num_classes)."""
        scores: Tensor = self.head(self.stages(self.stem(x)))
        return scores


def ofa_mobilenetv3(
    input_shape: tuple[int, int, int] = (3, 224, 224), num_classes: int = 1000, width: float = 1.0
) -> ModelSpace:
    """7371^5, about 2 x 10^19 networks of Once-for-All (Cai et al., ICLR 2020, section 3.1).

    `stage1.depth` (2, 3, 4), and for each of up to 20 blocks `stage1.block1.kernel` (3, 5, 7) and
    `stage1.block1.expand` (3, 4, 6). The paper's elastic resolution is no decision: it is a
    property of the images, and every network takes images of any size.
    """
    return ModelSpace(OfaMobileNetV3, input_shape, num_classes, width)


def read_ofa(config: Mapping[str, Any]) -> Arch:
    """The arch of an Once-for-All dictionary.

    Args:
        config: `ks` and `e`, kernels and expansions of 20 blocks (four a stage; those beyond the
            depth are passed over), and `d`, five depths. `r` (the resolution) and other keys are
            no part of the arch.

    Raises:
        ArchError: a list is missing, has another length, or a value is none of the choices.
    """
    lists: dict[str, Any] = {key: config.get(key) for key in ("ks", "e", "d")}
    for key, values in lists.items():
        wanted = len(STAGES) * (1 if key == "d" else max(DEPTHS))
        if not isinstance(values, list | tuple) or len(values) != wanted:
            raise ArchError(f"Once-for-All: '{key}' must be a list of {wanted}, not {values!r}")
    arch: Arch = {}
    for key, place, label in _fields():
        value = lists[key][place]
        stage, position = divmod(place, max(DEPTHS))
        if key != "d" and position >= lists["d"][stage]:
            continue
        choices = {"d": DEPTHS, "ks": KERNELS, "e": EXPANSIONS}[key]
        if value not in choices:
            raise ArchError(f"Once-for-All: {key}[{place}] is {value!r}, none of {choices}")
        arch[label] = int(value)
    return arch


def write_ofa(arch: Mapping[str, Value], resolution: int | None = None) -> dict[str, Any]:
    """The Once-for-All dictionary of an arch: `ks`, `e`, `d`, and `r` if it is given.

    Blocks beyond the depth have kernel 3 and expansion 3.

    Raises:
        ArchError: the arch is none of the space `ofa_mobilenetv3`.
    """
    config: dict[str, Any] = {"ks": [], "e": [], "d": []}
    for key, place, label in _fields():
        stage, position = divmod(place, max(DEPTHS))
        there = key == "d" or position < config["d"][stage]
        value = arch.get(label) if there else 3
        if type(value) is not int:
            raise ArchError(f"Once-for-All: the arch has {value!r} for '{label}'")
        config[key].append(value)
    return config if resolution is None else {**config, "r": resolution}


def _fields() -> Iterator[tuple[str, int, str]]:
    """Each entry of a dictionary: key, place in the list, label; the depths first."""
    for stage in range(len(STAGES)):
        yield "d", stage, f"stage{stage + 1}.depth"
    for stage in range(len(STAGES)):
        for position in range(max(DEPTHS)):
            name = f"stage{stage + 1}.block{position + 1}"
            place = stage * max(DEPTHS) + position
            yield "ks", place, f"{name}.kernel"
            yield "e", place, f"{name}.expand"
