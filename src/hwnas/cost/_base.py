"""The contract of every cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from statistics import NormalDist
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
            exact, or not known; None where it differs from arch to arch, and `estimates` is given.
            Budgets judge an uncertain cost at their confidence.
    """

    name: str
    space: SearchSpace
    exact: bool = False
    relative_std: float | None = 0.0

    @abstractmethod
    def __call__(self, arch: Mapping[str, Value]) -> float:
        """The cost of one arch."""

    def evaluate(self, encoded: NDArray[np.float64]) -> NDArray[np.float64]:
        """The costs of archs encoded by `space.encode`: (n, decisions) -> (n,)."""
        return np.array([self(arch) for arch in self.space.decode(encoded)], np.float64)

    def estimate(self, arch: Mapping[str, Value]) -> Estimate:
        """The cost of one arch with its standard deviation."""
        if self.relative_std is None:
            self.space.validate(arch)
            (value,), (std,) = self.estimates(self.space.encode([arch]))
            return Estimate(float(value), float(std))
        value = self(arch)
        return Estimate(value, abs(value) * self.relative_std)

    def estimates(
        self, encoded: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Costs and their standard deviations: (n, decisions) -> two of (n,)."""
        values = self.evaluate(encoded)
        return values, np.abs(values) * (self.relative_std or 0.0)

    def at_quantile(self, q: float) -> Cost:
        """What of this cost is not exceeded with probability q (0 < q < 1), of the same name."""
        return _Quantile(self, q)

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

    def estimate(self, arch: Mapping[str, Value]) -> Estimate:
        return self._cost.estimate(arch)

    def estimates(
        self, encoded: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._cost.estimates(encoded)


class _Quantile(Cost):
    def __init__(self, cost: Cost, q: float) -> None:
        self.name, self.space = cost.name, cost.space
        self._cost, self._q = cost, q

    def __call__(self, arch: Mapping[str, Value]) -> float:
        return self._cost.estimate(arch).quantile(self._q)

    def evaluate(self, encoded: NDArray[np.float64]) -> NDArray[np.float64]:
        values, stds = self._cost.estimates(encoded)
        return values + NormalDist().inv_cdf(self._q) * stds


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
