"""The contract of descriptors: archs as numbers that tell about latency."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.space import Arch


class Descriptor(ABC):
    """Archs of one space as matrices of numbers, in named groups that belong together.

    - `groups` returns for n archs a dict of float64 matrices (n, p), the same names and columns at
      every call, in a fixed order; every value is finite. Columns are neither scaled nor centred.
    - An arch's row depends on that arch alone.
    - An arch of another space is an `ArchError`.
    - Group names in use: `counts` (operators by kind), `used` (the same, of operators whose
      output reaches the network's output), `structure` (depth, joins), `stages` (by stage or size
      of the image), `physics` (MACs, memory traffic and the like, summed over layers),
      `decisions` (one-hot), `layers` (columns of one scale already, whose inner products tell how
      alike the layers of two archs are); a space may have others.

    Attributes:
        space: the space's name or reference.
    """

    space: str

    @abstractmethod
    def groups(self, archs: Sequence[Arch]) -> dict[str, NDArray[np.float64]]:
        """Matrices (n, p) by group."""
