"""SizedSpace: the size of the input as one more decision."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from hwnas.errors import SpaceError
from hwnas.space._base import SearchSpace
from hwnas.space._decision import Decision
from hwnas.space._expr import Arch

RESOLUTION = "resolution"
"""The decision, and the entry of an arch: height and width of the images in pixels."""


class SizedSpace(SearchSpace):
    """A space whose archs say the size of the images, too, in the entry `resolution`.

    For networks that take images of any size, where the size is searched with the network, as
    Once-for-All has it. The network of an arch does not depend on it.

    Args:
        space: of the networks.
        sizes: height and width of the images, in pixels.

    Raises:
        SpaceError: there is no size, one is given twice, or the space has such a decision.
    """

    def __init__(self, space: SearchSpace, sizes: Sequence[int]) -> None:
        self.space, self.sizes = space, tuple(sizes)
        if not sizes or len(set(sizes)) < len(sizes):
            raise SpaceError(f"SizedSpace: the sizes {self.sizes} must be one or more, each once")
        if any(decision.label == RESOLUTION for decision in space.decisions):
            raise SpaceError(f"SizedSpace: the space has a decision '{RESOLUTION}' already")

    @property
    def code_hash(self) -> str:
        """See `SearchSpace.code_hash`."""
        return self.space.code_hash

    def _decide(self) -> Sequence[Decision]:
        return [*self.space.decisions, Decision(RESOLUTION, self.sizes)]

    def _build(self, arch: Arch) -> nn.Module:
        return self.space.build({k: v for k, v in arch.items() if k != RESOLUTION})
