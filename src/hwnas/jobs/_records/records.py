"""What a job has found, as plain values: the read model of tables, reports and exports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from hwnas._estimate import Estimate
from hwnas.budget import Budget
from hwnas.cost import Counting
from hwnas.jobs._folder.life import JobState
from hwnas.jobs._queue.sizing import MeasuredIn

State = Literal["running", "complete", "failed", "stale"]
"""`stale`: it showed no life again and again, which says nothing about the network."""


@dataclass(frozen=True)
class Failure:
    """Why a trial failed.

    `kind` is one of `error` (the trainer raised), `metrics` (what it returned is no result),
    `exit` (the process ended), `killed` (by a signal), `timeout`, `infeasible` (the trainer's
    verdict), `measure`, `stale` (no sign of life).
    """

    kind: str
    reason: str
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrialRecord:
    """One trial. Costs are keyed like the budget's constraints: `macs`, `latency@pixel6`.

    `stale` is how often it was run again because it showed no life.
    """

    number: int
    state: State
    arch: Mapping[str, Any]
    metrics: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, Estimate] = field(default_factory=dict)
    reward: float | None = None
    feasible: bool | None = None
    violations: Mapping[str, float] = field(default_factory=dict)
    step: int | None = None
    started: datetime | None = None
    elapsed: float | None = None
    failure: Failure | None = None
    stale: int = 0
    measured_in: Mapping[str, MeasuredIn] = field(default_factory=dict)
    """How long its measurements took, by device."""
    chosen: int | None = None
    """In a train job: the number of the search's trial whose arch it trains in full."""

    def value(self, name: str) -> float | None:
        """A metric, a cost or the reward by its name, or None where the trial has none."""
        if name == "reward":
            return self.reward
        if name in self.metrics:
            return self.metrics[name]
        return self.costs[name].value if name in self.costs else None


@dataclass(frozen=True)
class ParentView:
    """The search that a train job belongs to: where it is, and its chosen trials as it had them."""

    job: str
    name: str
    trials: tuple[TrialRecord, ...]


@dataclass(frozen=True)
class JobView:
    """A job and its trials at one moment. `winner` is a trial's number.

    Where no trial keeps the budget, `winner` is None and `nearest` is the trial that violates it
    least.
    """

    name: str
    where: str
    """As a user names the job: a folder, or the URL of a store."""
    folder: Path
    """What this machine works in: the job's folder, or its own part of a job in a store."""
    budget: Budget
    objectives: tuple[tuple[str, Literal["max", "min"]], ...]
    metric: str
    strategy: str
    seed: int
    created: str
    versions: Mapping[str, str]
    space: str
    fingerprint: str
    size: int
    task: str | None
    trials_asked: int
    trials: tuple[TrialRecord, ...]
    counting: Counting = Counting()
    active: bool = True
    """Whether a process runs the job now; trials that run in one that is not were cut off."""
    state: JobState | None = None
    """Where in its life cycle the job is; None if that was not kept yet when it was made."""
    warnings: tuple[str, ...] = ()
    """What casts doubt on its numbers: workers of one device that disagree."""
    winner: int | None = None
    nearest: int | None = None
    parent: ParentView | None = None
    """Of a train job: the search whose trials it trains in full."""
    train_jobs: tuple[JobView, ...] = ()
    """Of a search: the train jobs inside its folder, oldest first."""

    @property
    def in_store(self) -> bool:
        """Whether the job lies in a store, not in a folder."""
        return "://" in self.where

    @property
    def complete(self) -> tuple[TrialRecord, ...]:
        """The trials that ended with a result, best reward first."""
        done = [t for t in self.trials if t.state == "complete" and t.reward is not None]
        return tuple(sorted(done, key=lambda t: -(t.reward or 0.0)))

    @property
    def failed(self) -> tuple[TrialRecord, ...]:
        """The trials that ended without one, stale ones included."""
        return tuple(t for t in self.trials if t.state in ("failed", "stale"))

    def pareto(self) -> tuple[TrialRecord, ...]:
        """The feasible trials that no other one beats in accuracy and in every budgeted cost.

        A `<=` cost counts lower as better, a `>=` cost higher.
        """
        axes: list[tuple[str, float]] = [(self.metric, 1.0)]
        axes += [(c.key, -1.0 if c.op == "<=" else 1.0) for c in self.budget]
        return _non_dominated(
            [t for t in self.complete if t.feasible],
            lambda t: tuple(sign * (t.value(name) or 0.0) for name, sign in axes),
        )


def _non_dominated(
    trials: list[TrialRecord], score: Callable[[TrialRecord], tuple[float, ...]]
) -> tuple[TrialRecord, ...]:
    """The trials whose score (higher is better in each place) no other trial's dominates."""
    scored = [(score(t), t) for t in trials]
    return tuple(
        t
        for s, t in scored
        if not any(o != s and all(a >= b for a, b in zip(o, s, strict=True)) for o, _ in scored)
    )
