"""Multiply-accumulates of archs, at the size of their input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwnas.cost import Cost, cost_tables
from hwnas.errors import PredictError
from hwnas.predict._baselines.decisions import resolution, without_resolution
from hwnas.predict._descriptors.load import own_shape
from hwnas.predict._descriptors.places import Places
from hwnas.space import Arch, SearchSpace
from hwnas.zoo import load_space

_TOKENS = 30
"""Length of both sentences where HAT's latencies were measured (Wang et al., ACL 2020, 4.1)."""

Inputs = tuple[Any, ...]


class Macs:
    """MACs of archs by the space's cost tables, one for each input size that is asked for.

    Args:
        input_shape: (C, H, W); None takes the size at which latencies of the space were published,
            or the space's default. The entry `resolution` of an arch stands for H and W.

    Raises:
        PredictError: the size of an input is not known.
    """

    def __init__(
        self,
        space: str | SearchSpace,
        input_shape: tuple[int, ...] | None = None,
        num_classes: int | None = None,
    ) -> None:
        self._inputs = _inputs(space, input_shape)
        self._space = opened(space, input_shape or own_shape(space), num_classes)
        self._places = Places(self._space)
        self._costs: dict[int | None, Cost] = {}

    def __call__(self, archs: Sequence[Arch]) -> NDArray[np.float64]:
        """MACs (n,).

        Raises:
            ArchError: one is of another space.
        """
        encoded = self._places.of([without_resolution(arch) for arch in archs]).astype(np.float64)
        sides = [resolution(arch) for arch in archs]
        found = np.zeros(len(archs))
        for side in set(sides):
            rows = np.array([one == side for one in sides])
            found[rows] = self._cost(side).evaluate(encoded[rows])
        return found

    def _cost(self, side: int | None) -> Cost:
        if side not in self._costs:
            self._costs[side] = cost_tables(self._space, self._inputs(side), ["macs"])["macs"]
        return self._costs[side]


def _inputs(
    space: str | SearchSpace, input_shape: tuple[int, ...] | None
) -> Callable[[int | None], Inputs]:
    """The inputs of a network, given the side of the image where archs tell it."""
    if space == "hat":
        tokens = torch.zeros(1, _TOKENS, dtype=torch.long)
        return lambda side: (tokens, tokens)
    shape = input_shape or own_shape(space)
    if shape is None:
        raise PredictError(
            "the shape of an input is not known: the space has no default; give the table's "
            "input_shape"
        )
    return lambda side: (1, *shape) if side is None else (1, shape[0], side, side)


def opened(
    space: str | SearchSpace, input_shape: tuple[int, ...] | None, num_classes: int | None
) -> SearchSpace:
    """The space itself; see `hwnas.zoo.load_space`."""
    return _loaded(space, input_shape, num_classes) if isinstance(space, str) else space


@lru_cache(maxsize=8)
def _loaded(
    space: str, input_shape: tuple[int, ...] | None, num_classes: int | None
) -> SearchSpace:
    return load_space(space, input_shape, num_classes)
