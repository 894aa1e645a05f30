"""What the tables and charts of a job show about a trial, in which order and unit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hwnas._estimate import Estimate
from hwnas.budget import Constraint, unit_for, unit_size
from hwnas.cost import METRICS
from hwnas.report._text import decimals_for, fixed, one_line

if TYPE_CHECKING:
    from hwnas.jobs import JobView, TrialRecord

Kind = Literal["metric", "cost", "decision"]


@dataclass(frozen=True)
class Column:
    """One number or choice that trials have.

    `unit` and `decimals` are shared by the whole column, so that its numbers can be compared at a
    glance. `better` says which end of it is preferred, where that is known.
    """

    kind: Kind
    name: str
    unit: str = ""
    decimals: int = 0
    better: Literal["low", "high"] | None = None
    constraints: tuple[Constraint, ...] = ()

    def value(self, trial: TrialRecord) -> Any:
        """The trial's entry: a choice, a finite float, an `Estimate`, or None."""
        if self.kind == "decision":
            return trial.arch.get(self.name)
        if self.kind == "cost":
            cost = trial.costs.get(self.name)
            return cost if cost is not None and math.isfinite(cost.value) else None
        number = trial.metrics.get(self.name)
        return number if number is not None and math.isfinite(number) else None

    @property
    def size(self) -> float:
        """The column's unit in the metric's canonical unit."""
        return unit_size(self.name, self.unit) if self.kind == "cost" else 1.0

    def text(self, trial: TrialRecord) -> str:
        """The trial's entry for people, without the unit; empty where there is none."""
        value = self.value(trial)
        if value is None:
            return ""
        if isinstance(value, Estimate):
            text = fixed(value.value / self.size, self.decimals)
            return f"{text} ±{fixed(value.std / self.size, self.decimals)}" if value.std else text
        return fixed(value, self.decimals) if self.kind == "metric" else one_line(value)


def columns(view: JobView) -> tuple[Column, ...]:
    """The columns of a job: its metric, budgeted costs, other costs, other metrics, decisions."""
    budgeted = dict.fromkeys(constraint.key for constraint in view.budget)
    metrics = _names(trial.metrics for trial in view.trials)
    costs = _names(trial.costs for trial in view.trials)
    costs |= {name: None for name in budgeted if name not in metrics}
    decisions = _names(trial.arch for trial in view.trials)
    named = [
        *[name for name in (view.metric,) if name in metrics],
        *[name for name in budgeted if name != view.metric],
        *sorted(name for name in costs if name not in budgeted),
        *sorted(name for name in metrics if name not in budgeted and name != view.metric),
    ]
    numbers = (_number(view, name, "cost" if name in costs else "metric") for name in named)
    return (*numbers, *(Column("decision", name) for name in decisions))


def reward_decimals(view: JobView) -> int:
    """How many decimals the rewards of a job are shown with."""
    return decimals_for((t.reward for t in view.complete if t.reward is not None), signs=4)


def _number(view: JobView, name: str, kind: Kind) -> Column:
    limits = tuple(c for c in view.budget if c.key == name)
    better = _better(view, name, limits)
    if kind == "metric":
        values = [t.metrics[name] for t in view.trials if name in t.metrics]
        decimals = decimals_for(filter(math.isfinite, values), signs=4)
        return Column(kind, name, "", decimals, better, limits)
    values = [t.costs[name].value for t in view.trials if name in t.costs]
    values = [value for value in values if math.isfinite(value)]
    unit = limits[0].unit if limits else unit_for(name, values)
    decimals = decimals_for(value / unit_size(name, unit) for value in values)
    return Column(kind, name, unit, decimals, better, limits)


def _better(
    view: JobView, name: str, limits: tuple[Constraint, ...]
) -> Literal["low", "high"] | None:
    goals = dict(view.objectives)
    if name in goals or name == view.metric:
        return "low" if goals.get(name) == "min" else "high"
    ops = {limit.op for limit in limits}
    if len(ops) == 1:
        return "low" if ops == {"<="} else "high"
    known = METRICS.get(name.partition("@")[0])
    if ops or known is None:
        return None
    return "low" if known.better == "lower" else "high"


def _names(mappings: Iterable[Iterable[str]]) -> dict[str, None]:
    """The keys of all mappings, in the order in which they first appear."""
    return dict.fromkeys(name for mapping in mappings for name in mapping)
