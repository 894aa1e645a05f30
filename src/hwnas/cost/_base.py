"""The contract of every cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas._estimate import Estimate
from hwnas.errors import CostError, HwnasError, describe

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

    Others add costs as entry points of the group `hwnas.costs`, or refer to them as `module:name`;
    `load_cost` says what may be named.

    Attributes:
        name: the metric, as in budgets.
        space: the space whose archs it takes.
        exact: whether the value is that of the built network, not an estimate of it.
        relative_std: standard deviation of its error, as a share of the value; 0 where it is
            exact, or not known. Budgets judge an uncertain cost at their confidence.
    """

    name: str
    space: SearchSpace
    exact: bool = False
    relative_std: float = 0.0

    @abstractmethod
    def __call__(self, arch: Mapping[str, Value]) -> float:
        """The cost of one arch."""

    def evaluate(self, encoded: NDArray[np.float64]) -> NDArray[np.float64]:
        """The costs of archs encoded by `space.encode`: (n, decisions) -> (n,)."""
        return np.array([self(arch) for arch in self.space.decode(encoded)], np.float64)

    def estimate(self, arch: Mapping[str, Value]) -> Estimate:
        """The cost of one arch with its standard deviation."""
        value = self(arch)
        return Estimate(value, abs(value) * self.relative_std)

    def renamed(self, name: str) -> Cost:
        """The same cost under another name."""
        return _Renamed(name, self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name} of {self.space!r})"


class _Renamed(Cost):
    def __init__(self, name: str, cost: Cost) -> None:
        self.name = name
        self.space = cost.space
        self.exact = cost.exact
        self.relative_std = cost.relative_std
        self._cost = cost

    def __call__(self, arch: Mapping[str, Value]) -> float:
        return self._cost(arch)

    def evaluate(self, encoded: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._cost.evaluate(encoded)


class FunctionCost(Cost):
    """A function `arch -> number` as a cost. For sums of functions of few decisions each, see
    `CostTable.of`: only tables can be sampled under a limit.

    What the function raises becomes a `CostError` that names it.
    """

    def __init__(self, name: str, space: SearchSpace, function: Any) -> None:
        self.name = name
        self.space = space
        self._function = function

    def __call__(self, arch: Mapping[str, Value]) -> float:
        """See `Cost`."""
        self.space.validate(arch)
        try:
            value = self._function(dict(arch))
        except HwnasError:
            raise
        except Exception as error:
            raise CostError(f"the cost '{self.name}' failed: {describe(error)}") from error
        return checked_number(value, self.name)


def checked_number(value: Any, name: str) -> float:
    """`value` as a float.

    Raises:
        CostError: it is not a finite number.
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise CostError(f"the cost '{name}' is {value!r}, not a number") from error
    if not np.isfinite(number):
        raise CostError(f"the cost '{name}' is {number}; it must be finite")
    return number
