"""A conjunction of constraints: what every strategy obeys and every table shows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.budget._constraint import Constraint, Costs
from hwnas.budget._parser import parse
from hwnas.errors import BudgetError

if TYPE_CHECKING:
    from hwnas.cost import Cost as StaticCost
    from hwnas.cost import RangeFilter


@dataclass(frozen=True)
class Budget:
    """All of its constraints have to hold. `Budget()` has none, and every arch keeps it.

    Costs come as a mapping from `Constraint.key` (`latency@pixel6`, `macs`) to a number or an
    `Estimate` in the metric's canonical unit. `where` (for example `trial 7`) begins the message
    of an error about a number.

    Raises:
        BudgetError: a constraint is given twice, or two of them cannot hold together.
    """

    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        seen: dict[tuple[str, str], Constraint] = {}
        for constraint in self.constraints:
            if (constraint.key, constraint.op) in seen:
                raise BudgetError(
                    f"'{constraint.key} {constraint.op}' is limited twice in the budget; keep one"
                )
            seen[constraint.key, constraint.op] = constraint
        for (key, op), upper in seen.items():
            lower = seen.get((key, ">="))
            if op == "<=" and lower is not None and lower.limit > upper.limit:
                raise BudgetError(f"'{upper}' and '{lower}' contradict each other in the budget")

    @classmethod
    def parse(
        cls, text: str, metrics: Iterable[str] = (), devices: Collection[str] | None = None
    ) -> Budget:
        """Read a budget such as `latency@pixel6 <= 12 ms [confidence=0.9], params <= 3 M`.

        Args:
            text: Constraints, separated by commas. Times take ns, us, ms or s; memory B, kB, MB,
                GB, KiB, MiB or GiB; counts nothing, k, M or G; energy mJ or J; power mW or W;
                throughput items/s. Options in brackets are `confidence` and `weight`.
            metrics: Names of further metrics, plain numbers, that a trainer or a cost of your own
                gives; `name@device` where it belongs to a device.
            devices: The devices that may be named; None accepts any.

        Raises:
            BudgetError: the text makes no sense; the message names the place in it.
        """
        return cls(tuple(parse(text, metrics, devices)))

    def feasible(self, costs: Costs, *, where: str = "") -> bool:
        """Whether every constraint holds, an uncertain cost at its constraint's confidence.

        Raises:
            BudgetError: a constrained cost is missing, zero, negative, NaN or infinite.
        """
        return all(value <= 0 for value in self.violations(costs, where=where).values())

    def violations(self, costs: Costs, *, where: str = "") -> dict[str, float]:
        """For each constrained cost, by which fraction of its limit it is too large (or small).

        Above zero: violated. Zero or below: kept, with that margin. Where a cost has a lower and
        an upper limit, the worse of the two counts.

        Raises:
            BudgetError: see `feasible`.
        """
        worst: dict[str, float] = {}
        for constraint in self.constraints:
            value = constraint.violation(costs, where=where)
            worst[constraint.key] = max(value, worst.get(constraint.key, value))
        return worst

    def violation(self, costs: Costs, *, where: str = "") -> float:
        """The sum of the violated fractions: 0 if feasible, and the order of preference if not.

        Raises:
            BudgetError: see `feasible`.
        """
        return sum(max(value, 0.0) for value in self.violations(costs, where=where).values())

    def margins(self, costs: Costs, *, where: str = "") -> dict[str, float]:
        """For each constrained cost, the fraction of its limit that is left (< 0: violated).

        Raises:
            BudgetError: see `feasible`.
        """
        return {key: 0.0 - value for key, value in self.violations(costs, where=where).items()}

    def bounds(self, costs: Costs, *, where: str = "") -> dict[str, float]:
        """For each constrained cost, the number that has to keep the limit (`Constraint.bound`).

        Where a cost has a lower and an upper limit, the bound that keeps its limit worse.

        Raises:
            BudgetError: see `feasible`.
        """
        worst: dict[str, Constraint] = {}
        for constraint in sorted(self.constraints, key=lambda c: c.violation(costs, where=where)):
            worst[constraint.key] = constraint
        return {key: c.bound(costs, where=where) for key, c in worst.items()}

    def filters(self, costs: Mapping[str, StaticCost]) -> list[RangeFilter]:
        """The constraints on these costs as ranges, one for each cost that is limited.

        An uncertain cost has to keep its limit with the constraint's confidence, as in `feasible`;
        where its deviation differs from arch to arch, each end has a range of its own.

        Args:
            costs: `Constraint.key` -> cost; what is limited and not among them, such as a latency
                that has to be measured, is left out.

        Raises:
            BudgetError: a cost is so uncertain that no value keeps its limit.
        """
        from hwnas.cost import RangeFilter

        ends: dict[str, dict[str, float]] = {}
        found = []
        for constraint in self.constraints:
            cost = costs.get(constraint.key)
            if cost is None:
                continue
            end = "max" if constraint.op == "<=" else "min"
            if cost.relative_std is None:
                bound = cost.at_quantile(constraint.quantile)
                found.append(RangeFilter(bound, **{end: constraint.limit}))
            else:
                limit = constraint.limit_for(cost.relative_std)
                ends.setdefault(constraint.key, {})[end] = limit
        return [RangeFilter(costs[key], **limits) for key, limits in ends.items()] + found

    def __iter__(self) -> Iterator[Constraint]:
        return iter(self.constraints)

    def __len__(self) -> int:
        return len(self.constraints)

    def __str__(self) -> str:
        return ", ".join(map(str, self.constraints))
