"""Descriptors on one scale, so that one amplitude per group says how much the group may matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Groups = Mapping[str, NDArray[np.float64]]

_WHOLE = frozenset({"layers"})
"""Groups whose columns are of one scale already."""
_UNUSED = frozenset({"pairs"})
"""Groups with more columns than a few latencies can tell of; models of the sources have them."""


@dataclass(frozen=True)
class Standard:
    """Columns with mean 0 over reference rows, scaled so that rows have mean squared length 1.

    Attributes:
        mean: (p,).
        scale: (p,), by which columns are multiplied; 0 for a column that is constant there.
    """

    mean: Tensor
    scale: Tensor

    @staticmethod
    def of(matrix: Tensor, whole: bool = False) -> Standard:
        """Of the reference rows `matrix` (n, p); columns get equal variance unless `whole`."""
        mean = matrix.mean(0)
        spread = matrix.std(0, correction=0)
        varies = spread > 1e-9 * (1 + mean.abs())
        if whole:
            total = spread[varies].square().sum().sqrt()
            return Standard(mean, torch.where(varies, 1 / total.clamp_min(1e-300), 0.0))
        scale = torch.where(varies, 1 / torch.where(varies, spread, 1.0), 0.0)
        return Standard(mean, scale / max(int(varies.sum()), 1) ** 0.5)

    def __call__(self, matrix: Tensor) -> Tensor:
        """Rows (n, p) on the scale of the reference rows."""
        return (matrix - self.mean) * self.scale


@dataclass(frozen=True)
class Features:
    """Standardised descriptor groups of archs.

    Attributes:
        standards: of each group that is used, in the descriptor's order.
    """

    standards: Mapping[str, Standard]

    @staticmethod
    def of(groups: Groups) -> Features:
        """Of the groups of reference archs; groups in which nothing varies are left out."""
        found = {
            name: Standard.of(torch.from_numpy(matrix), name in _WHOLE)
            for name, matrix in groups.items()
            if name not in _UNUSED
        }
        return Features({name: s for name, s in found.items() if bool(s.scale.any())})

    def __call__(self, groups: Groups) -> list[Tensor]:
        """The groups (n, p) of archs, in the order of `standards`."""
        return [s(torch.from_numpy(groups[name])) for name, s in self.standards.items()]
