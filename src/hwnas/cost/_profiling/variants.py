"""The distinct variants of a space's parts: what has to be measured, each once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import nn

from hwnas.cost._profiling.calls import Call, arch_with, calls_of
from hwnas.cost._profiling.described import described
from hwnas.cost._profiling.granularity import Granularity, Part, parts_of
from hwnas.cost._tables.domain import TooLargeError
from hwnas.cost._tracing.inputs import Arguments, Inputs
from hwnas.device import Item
from hwnas.errors import CostError
from hwnas.space import Arch, ModelSpace, SearchSpace
from hwnas.space.template import counterparts

Cut: TypeAlias = Literal["auto", "block", "unit"]

AFFORDABLE = 1000
"""Variants that are measured in some minutes; beyond these, units are taken in place of blocks."""


@dataclass(frozen=True, eq=False)
class Variant:
    """A part as some networks have it: module and shapes of its inputs.

    Attributes:
        item: what it is, by its operations; two parts that compute the same are one item.
        part: where it is found first.
        arch: a network that has it there.
        arguments: of the call; tensors are on the meta device.
    """

    item: Item
    part: Part
    arch: Arch
    arguments: Arguments

    @property
    def idle(self) -> bool:
        """Whether it gives back what it gets and takes no time, as a skipped layer does."""
        return not self.item.description["operations"]

    def __str__(self) -> str:
        shapes = ", ".join("x".join(map(str, x.shape)) for x in self.arguments.tensors)
        return f"{self.part} on {shapes or 'no tensor'} of {self.arch}"


class SpaceParts:
    """A space cut into parts, with every distinct variant of each.

    Args:
        space: a `ModelSpace`.
        inputs: of its networks, as for `static_costs`; batch included.
        granularity: `block`, `unit`, or `auto`: blocks if they have at most `affordable` variants,
            units otherwise.

    Attributes:
        granularity: the one taken.
        variants: in the order in which the networks run them; those that do nothing left out.

    Raises:
        CostError: the space has no template, or its forward cannot be followed.
    """

    def __init__(
        self,
        space: SearchSpace,
        inputs: Inputs,
        granularity: Cut = "auto",
        *,
        affordable: int = AFFORDABLE,
    ) -> None:
        if not isinstance(space, ModelSpace):
            raise CostError(
                "only a ModelSpace can be measured part by part: a function that builds whole "
                "networks does not tell what they have in common"
            )
        self.space, self.inputs = space, inputs
        self.granularity: Granularity
        self.granularity, self.calls = _cut(space, inputs, granularity, affordable)
        self._found = _Finder(space, self.granularity, self.calls).found
        distinct: dict[str, Variant] = {}
        for variant in self._found.values():
            distinct.setdefault(variant.item.key, variant)
        self.variants = [variant for variant in distinct.values() if not variant.idle]

    @property
    def count(self) -> int:
        """How many measurements the whole space needs."""
        return len(self.variants)

    def variant(self, key: Hashable) -> Variant:
        """What stands behind a variant of a call."""
        return self._found[key]


def _cut(
    space: ModelSpace, inputs: Inputs, granularity: str, affordable: int
) -> tuple[Granularity, list[Call]]:
    if granularity in ("auto", "block"):
        try:
            calls = calls_of(space, inputs, parts_of(space.template, "block"))
        except TooLargeError as error:
            if granularity == "block":
                raise CostError(f"blocks depend on too many decisions: {error}") from error
        else:
            count = len({key for call in calls for key in call.variants})
            if granularity == "block" or count <= affordable:
                return "block", calls
    elif granularity != "unit":
        raise CostError(f"'{granularity}' is no granularity; they are auto, block and unit")
    try:
        return "unit", calls_of(space, inputs, parts_of(space.template, "unit"))
    except TooLargeError as error:
        raise CostError(f"units depend on too many decisions: {error}") from error


class _Finder:
    """Builds networks without data until each variant was seen in one."""

    def __init__(self, space: ModelSpace, kind: Granularity, calls: Sequence[Call]) -> None:
        self._space, self._kind, self._calls = space, kind, calls
        self.found: dict[Hashable, Variant] = {}
        rng = np.random.default_rng(0)
        for call in calls:
            for place, key in enumerate(call.variants):
                if key not in self.found:
                    self._look(arch_with(space, call, place, rng))
                if key not in self.found:
                    raise CostError(f"{call.part} is not called where it was expected")

    def _look(self, arch: Arch) -> None:
        with torch.device("meta"):
            model = self._space.build(arch).eval()
        codes = self._space.encode([arch])[0].astype(int).tolist()
        modules = built_parts(self._space, model, arch)
        for call in self._calls:
            place = call.place(codes)
            if place is None or (key := call.variants[place]) in self.found:
                continue
            inputs, operations = described(modules[id(call.part.module)], call.arguments[place])
            item = Item(self._kind, {"inputs": inputs, "operations": operations})
            self.found[key] = Variant(item, call.part, arch, call.arguments[place])


def built_parts(
    space: ModelSpace, model: nn.Module, arch: Mapping[str, Any]
) -> dict[int, nn.Module]:
    """The modules of `model`, the network of `arch`, by the ids of those of the template."""
    pairs = counterparts(space.template, model, dict(arch))
    return {id(source): target for source, target in pairs}
