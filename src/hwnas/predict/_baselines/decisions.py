"""Archs as one-hot decisions, which is what sums over layers and operators are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.cost import CostTable
from hwnas.errors import ArchError
from hwnas.predict._descriptors.places import Places
from hwnas.predict._sources import RESOLUTION
from hwnas.space import Arch, SearchSpace

_REFERENCE = 224.0


class Decisions:
    """One column for each choice of each decision; 0 where the decision is not taken.

    Where archs have an entry `resolution`, their rows are multiplied by its square (of 224 pixels):
    what a convolution computes and moves is proportional to the area.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._places = Places(space)
        sizes = [len(decision.choices) for decision in space.decisions]
        self._first = np.cumsum([0, *sizes])

    @property
    def count(self) -> int:
        """The number of columns."""
        return int(self._first[-1])

    def __call__(self, archs: Sequence[Arch]) -> NDArray[np.float64]:
        """(n, count).

        Raises:
            ArchError: one is of another space.
        """
        places = self._places.of([without_resolution(arch) for arch in archs])
        found = np.zeros((len(archs), self.count))
        rows, columns = np.nonzero(places >= 0)
        found[rows, self._first[columns] + places[rows, columns]] = 1.0
        sides = np.array([resolution(arch) or _REFERENCE for arch in archs])
        return found * (sides[:, None] / _REFERENCE) ** 2

    def encoded(self, archs: Sequence[Arch]) -> NDArray[np.float64]:
        """The same numbers as `SearchSpace.encode`, of archs that are checked."""
        return self._places.of(archs).astype(np.float64)

    def table(
        self, weights: NDArray[np.float64], intercept: float, relative_std: float, side: int | None
    ) -> CostTable:
        """The sum of the weights (count,) of an arch's choices as a table.

        Args:
            side: the resolution of all archs, if it varies; see `Decisions`.
        """
        weights = weights * ((side or _REFERENCE) / _REFERENCE) ** 2
        tables: dict[tuple[int, ...], NDArray[np.float64]] = {(): np.array(intercept)}
        for column, decision in enumerate(self.space.decisions):
            chosen = weights[self._first[column] : self._first[column + 1]]
            taken = decision.condition is True
            tables[(column,)] = chosen if taken else np.append(chosen, 0.0)
        return CostTable("latency", self.space, tables, relative_std=relative_std)


def resolution(arch: Arch) -> int | None:
    """The input size of an arch that has one.

    Raises:
        ArchError: it is no whole number of pixels.
    """
    if RESOLUTION not in arch:
        return None
    value = arch[RESOLUTION]
    if type(value) is not int or value < 1:
        raise ArchError(f"'{RESOLUTION}' is {value!r}; it must be a whole number of pixels")
    return value


def without_resolution(arch: Arch) -> Arch:
    """What of an arch the space decides."""
    if not isinstance(arch, dict) or RESOLUTION not in arch:
        return arch
    return {label: value for label, value in arch.items() if label != RESOLUTION}
