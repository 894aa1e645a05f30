"""Once-for-All's MobileNetV3: blocks of chosen kernel and expansion, images of chosen size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hwnas.errors import ArchError
from hwnas.predict._descriptor import Descriptor
from hwnas.predict._descriptors.places import Places, check_dict
from hwnas.predict._sources import RESOLUTION
from hwnas.space import Arch, SearchSpace

SIZE = 224
"""Height and width of images where an arch has no entry `resolution`."""

RESOLUTIONS = tuple(range(128, 225, 4))
"""The sizes of Once-for-All's elastic resolution."""

STAGES, BLOCKS = 5, 4
_SMALLEST = 32


class Stage(NamedTuple):
    """The shapes of a stage."""

    c_in: int
    c_out: int
    stride: int


class Blocks(NamedTuple):
    """Archs by block; 0 where a block is not there.

    Attributes:
        kernel, expand: (n, 20), four blocks a stage.
        resolution: (n,).
    """

    kernel: NDArray[np.int64]
    expand: NDArray[np.int64]
    resolution: NDArray[np.int64]


class OfaReader:
    """Reads archs of the space, with or without the entry `resolution`."""

    def __init__(self, space: SearchSpace) -> None:
        self._places = Places(space)
        self._columns: dict[str, list[int]] = {"kernel": [], "expand": []}
        self._choices: dict[str, NDArray[np.int64]] = {}
        labels = [decision.label for decision in space.decisions]
        for field, columns in self._columns.items():
            for place in range(STAGES * BLOCKS):
                stage, block = divmod(place, BLOCKS)
                columns.append(labels.index(f"stage{stage + 1}.block{block + 1}.{field}"))
            choices = space.decisions[columns[0]].choices
            self._choices[field] = np.array([*choices, 0], np.int64)  # -1, not taken, is the last

    def read(self, archs: Sequence[Arch]) -> Blocks:
        """The blocks of archs.

        Raises:
            ArchError: one is no arch of the space, or its resolution is no size of an image.
        """
        resolution = np.array([_resolution(arch) for arch in archs], np.int64)
        places = self._places.of([_without_resolution(arch) for arch in archs])
        kernel, expand = (
            self._choices[field][places[:, columns]] for field, columns in self._columns.items()
        )
        return Blocks(kernel, expand, resolution)

    def vectors(self, blocks: Blocks, resolutions: Sequence[int]) -> NDArray[np.float64]:
        """One-hot kernels (60), expansions (60) and resolutions; no entry for one not listed."""
        parts = (
            blocks.kernel[:, :, None] == self._choices["kernel"][:-1],
            blocks.expand[:, :, None] == self._choices["expand"][:-1],
            blocks.resolution[:, None, None] == np.array(resolutions),
        )
        flat = [part.reshape(len(part), part.shape[1] * part.shape[2]) for part in parts]
        return np.concatenate(flat, 1).astype(np.float64)


def _resolution(arch: Arch) -> int:
    check_dict(arch)
    value = arch.get(RESOLUTION, SIZE)
    if type(value) is not int or value < _SMALLEST:
        raise ArchError(
            f"'{RESOLUTION}' is {value!r}; it must be a whole number of at least {_SMALLEST} pixels"
        )
    return value


def _without_resolution(arch: Arch) -> Arch:
    if RESOLUTION not in arch:
        return arch
    return {label: value for label, value in arch.items() if label != RESOLUTION}


class OfaDescriptor(Descriptor):
    """Depths and sizes, and what the blocks take at the arch's resolution.

    - `structure` (8): depth of each stage, all blocks, resolution, its square.
    - `physics` (8): MACs of the 1x1 convolutions, of the depthwise ones of kernel 3, 5 and 7;
      parameters; elements read and written; blocks; sum of the kernels. Norms and
      squeeze-and-excite are left out.
    - `decisions` (145): one-hot kernels, expansions and resolutions (128 to 224, in steps of 4).
    - `scaled` (120): one-hot kernels and expansions, times the square of the resolution.
    """

    def __init__(self, space: SearchSpace, name: str = "ofa_mobilenetv3") -> None:
        self.space = name
        self._reader = OfaReader(space)
        self._stages = _stages(space)

    def groups(self, archs: Sequence[Arch]) -> dict[str, NDArray[np.float64]]:
        """See `Descriptor`."""
        blocks = self._reader.read(archs)
        depths = (blocks.kernel > 0).reshape(-1, STAGES, BLOCKS).sum(2)
        decisions = self._reader.vectors(blocks, RESOLUTIONS)
        area = blocks.resolution.astype(np.float64) ** 2
        return {
            "structure": np.column_stack((depths, depths.sum(1), blocks.resolution, area)),
            "physics": self._physics(blocks),
            "decisions": decisions,
            "scaled": decisions[:, : 2 * 3 * STAGES * BLOCKS] * (area / SIZE**2)[:, None],
        }

    def _physics(self, blocks: Blocks) -> NDArray[np.float64]:
        total = np.zeros((len(blocks.resolution), 8))
        side = _halved(blocks.resolution)  # by the stem
        for place in range(STAGES * BLOCKS):
            number, position = divmod(place, BLOCKS)
            stage = self._stages[number]
            c_in = stage.c_in if position == 0 else stage.c_out
            after = _halved(side) if position == 0 and stage.stride == 2 else side
            kernel, expand = blocks.kernel[:, place], blocks.expand[:, place]
            hidden = c_in * expand  # 0 where the block is not there
            read, written = side**2, after**2
            weights = c_in * hidden + hidden * stage.c_out
            depthwise = hidden * kernel**2
            there = kernel > 0
            total += np.column_stack(
                (
                    c_in * hidden * read + hidden * stage.c_out * written,
                    *((depthwise * written) * (kernel == size) for size in (3, 5, 7)),
                    weights + depthwise,
                    there * (c_in * read + stage.c_out * written) + hidden * (read + written),
                    there,
                    kernel,
                )
            )
            side = after
        return total


def _halved(side: NDArray[np.int64]) -> NDArray[np.int64]:
    return (side + 1) // 2


def _stages(space: SearchSpace) -> list[Stage]:
    """The shapes of the stages, from one network."""
    found = []
    with torch.device("meta"), torch.no_grad():
        network = space.build(space.default()).eval()
        x = network.get_submodule("stem")(torch.empty(1, 3, SIZE, SIZE))
        for stage in network.get_submodule("stages").children():
            y = stage(x)
            found.append(Stage(x.shape[1], y.shape[1], x.shape[2] // y.shape[2]))
            x = y
    return found
