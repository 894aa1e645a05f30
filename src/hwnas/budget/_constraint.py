"""One limit on one metric, and the checks that every number judged by it must pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from statistics import NormalDist
from typing import Literal, TypeAlias

from hwnas._estimate import Estimate
from hwnas.budget._units import EXACT, quantity_of
from hwnas.cost import METRICS
from hwnas.errors import BudgetError

Cost: TypeAlias = float | int | Estimate
Costs: TypeAlias = Mapping[str, Cost]
"""What an arch takes: `latency@pixel6` or `macs` -> number in the metric's canonical unit."""

DEFAULT_CONFIDENCE = 0.95
DEFAULT_WEIGHT = 1.0


@dataclass(frozen=True)
class Constraint:
    """A limit on one metric: `latency@pixel6 <= 12 ms [confidence=0.9, weight=0.5]`.

    An uncertain cost has to keep the limit with probability `confidence`: its upper quantile has
    to for `<=`, its lower quantile for `>=`. `weight` is the exponent that rewards give to the
    ratio of limit and cost; 0 takes the constraint out of the reward but not out of feasibility.

    Raises:
        BudgetError: the limit is not above zero and finite, the weight is negative or not finite,
            the confidence is not between 0 and 1, or the unit is not one of the metric's.
    """

    metric: str
    device: str | None
    op: Literal["<=", ">="]
    limit: float
    """In the metric's canonical unit."""
    unit: str = ""
    """The unit as written, for printing."""
    confidence: float = DEFAULT_CONFIDENCE
    weight: float = DEFAULT_WEIGHT

    def __post_init__(self) -> None:
        if self.op not in ("<=", ">="):
            raise BudgetError(f"'{self.op}' is not a comparison; use <= or >=")
        if not (math.isfinite(self.limit) and self.limit > 0):
            raise BudgetError(f"the limit of '{self.key}' must be a finite number above zero")
        if not 0 < self.confidence < 1:
            raise BudgetError(
                f"the confidence of '{self.key}' must be between 0 and 1, not {self.confidence}"
            )
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise BudgetError(
                f"the weight of '{self.key}' must be zero or more and finite, not {self.weight}"
            )
        quantity = quantity_of(self.metric)
        if self.unit not in quantity.units:
            names = ", ".join(quantity.unit_names)
            raise BudgetError(f"'{self.unit}' is not a unit of '{self.key}': {names}")

    @property
    def key(self) -> str:
        """The name of the cost it limits: `latency@pixel6`, or `params` without a device."""
        return self.metric if self.device is None else f"{self.metric}@{self.device}"

    @property
    def quantile(self) -> float:
        """The quantile of an uncertain cost that has to keep the limit."""
        return self.confidence if self.op == "<=" else 1 - self.confidence

    def bound(self, costs: Costs, *, where: str = "") -> float:
        """The cost that has to keep the limit: a number as it is, an estimate's quantile.

        The lower quantile of a `>=` constraint is never below zero. A metric that a trainer
        declares may be zero, as a recall is early on; a cost may not.

        Raises:
            BudgetError: the cost is missing, not a number, not finite or not above zero; the
                message begins with `where` (for example `trial 7`) and names the metric.
        """
        cost = checked(costs, self.key, positive=self.metric in METRICS, where=where)
        bound = cost.quantile(self.quantile)
        if self.op == ">=":
            return max(bound, 0.0)
        if not (math.isfinite(bound) and (bound > 0 or self.metric not in METRICS)):
            raise BudgetError(
                f"{at(where)}the {self.confidence} quantile of '{self.key}' is {bound} "
                f"(value {cost.value}, std {cost.std}); it must be finite and above zero"
            )
        return bound

    def limit_for(self, relative_std: float) -> float:
        """The limit that the value of a cost has to keep, so that its quantile keeps `limit`.

        Args:
            relative_std: standard deviation of the cost's error, as a share of the value.

        Raises:
            BudgetError: no value keeps it, so uncertain is the cost.
        """
        if relative_std == 0:
            return self.limit
        z = NormalDist().inv_cdf(self.confidence)
        factor = 1 + z * relative_std if self.op == "<=" else 1 - z * relative_std
        if factor <= 0:
            raise BudgetError(
                f"'{self.key}' is too uncertain (a standard deviation of {relative_std:.1%}) for "
                f"a limit at confidence {self.confidence}"
            )
        return self.limit / factor

    def violation(self, costs: Costs, *, where: str = "") -> float:
        """By which fraction of the limit it is broken (> 0), or kept (<= 0, minus the margin).

        Raises:
            BudgetError: see `bound`.
        """
        # The difference first: its sign is exact, the sign of a ratio minus one is not.
        excess = (self.bound(costs, where=where) - self.limit) / self.limit
        return excess if self.op == "<=" else -excess

    def ratio(self, costs: Costs, *, where: str = "") -> float:
        """How well the limit is kept: limit / cost for `<=`, cost / limit for `>=`; 1 at the limit.

        Raises:
            BudgetError: see `bound`.
        """
        bound = self.bound(costs, where=where)
        if self.op == ">=":
            return bound / self.limit
        return self.limit / bound if bound else math.inf

    def __str__(self) -> str:
        options = []
        if self.confidence != DEFAULT_CONFIDENCE:
            options.append(f"confidence={self.confidence!r}")
        if self.weight != DEFAULT_WEIGHT:
            options.append(f"weight={self.weight!r}")
        text = f"{self.key} {self.op} {self.written_limit} {self.unit}".rstrip()
        return f"{text} [{', '.join(options)}]" if options else text

    @property
    def written_limit(self) -> str:
        """The shortest number that, in the unit as written, is the limit exactly."""
        size = quantity_of(self.metric).units[self.unit]
        exact = EXACT.divide(Decimal(repr(self.limit)), size)
        short = (Decimal(f"{exact:.{digits}g}") for digits in range(1, 18))
        number = next((n for n in short if float(EXACT.multiply(n, size)) == self.limit), exact)
        return f"{number:f}" if -7 < number.adjusted() < 15 else str(number)


def checked(costs: Costs, key: str, *, positive: bool = True, where: str = "") -> Estimate:
    """The cost `key` as an estimate, if it is a number one can judge by.

    Raises:
        BudgetError: it is missing, not a number, NaN or infinite, its standard deviation is
            negative or not finite, or (where `positive`) it is not above zero.
    """
    if key not in costs:
        given = ", ".join(sorted(costs)) or "none"
        raise BudgetError(f"{at(where)}no cost '{key}' was given; given: {given}")
    cost = costs[key]
    value, std = (cost.value, cost.std) if isinstance(cost, Estimate) else (cost, 0.0)
    estimate = Estimate(number(value, key, where=where), number(std, f"std of {key}", where=where))
    if positive and estimate.value <= 0:
        raise BudgetError(f"{at(where)}'{key}' is {value}; a cost must be above zero")
    if estimate.std < 0:
        raise BudgetError(f"{at(where)}the standard deviation of '{key}' is negative ({std})")
    return estimate


def number(value: object, name: str, *, where: str = "") -> float:
    """`value` as a float, if it is a finite real number (NumPy scalars are, booleans are not).

    Raises:
        BudgetError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        shown = repr(value)
        shown = shown if len(shown) <= 40 else shown[:37] + "..."
        raise BudgetError(f"{at(where)}'{name}' is {shown} ({type(value).__name__}), not a number")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise BudgetError(f"{at(where)}'{name}' is {result}; it must be a finite number")
    return result


def at(where: str) -> str:
    """`where` as the beginning of a message."""
    return f"{where}: " if where else ""
