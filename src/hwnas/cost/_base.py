"""The contract of every cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hwnas.space import SearchSpace, Value


class Cost(ABC):
    """What archs of one space cost, in one metric.

    - A cost is a plain finite number in the metric's canonical unit, the same for the same arch
      at each call.
    - An arch that is not canonical, or of another space, is an `ArchError`; an arch whose cost
      cannot be told is a `CostError`, never NaN.
    - All methods may be called from several threads.

    A member gives `__call__`. `evaluate` is for many archs at once: rows of `space.encode`.

    Attributes:
        name: the metric, as in budgets.
        space: the space whose archs it takes.
        exact: whether the value is that of the built network, not an estimate of it.
    """

    name: str
    space: SearchSpace
    exact: bool = False

    @abstractmethod
    def __call__(self, arch: Mapping[str, Value]) -> float:
        """The cost of one arch."""

    def evaluate(self, encoded: NDArray[np.float64]) -> NDArray[np.float64]:
        """The costs of archs encoded by `space.encode`: (n, decisions) -> (n,)."""
        return np.array([self(arch) for arch in self.space.decode(encoded)], np.float64)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name} of {self.space!r})"


class FunctionCost(Cost):
    """A function `arch -> number` as a cost. For sums of functions of few decisions each, see
    `CostTable.of`: only tables can be sampled under a limit.
    """

    def __init__(self, name: str, space: SearchSpace, function: Any) -> None:
        self.name = name
        self.space = space
        self._function = function

    def __call__(self, arch: Mapping[str, Value]) -> float:
        """See `Cost`."""
        self.space.validate(arch)
        return checked_number(self._function(dict(arch)), self.name)


def checked_number(value: Any, name: str) -> float:
    """`value` as a float.

    Raises:
        CostError: it is not a finite number.
    """
    from hwnas.errors import CostError

    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise CostError(f"the cost '{name}' is {value!r}, not a number") from error
    if not np.isfinite(number):
        raise CostError(f"the cost '{name}' is {number}; it must be finite")
    return number
