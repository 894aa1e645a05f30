"""Reading a job: from its study and its folder to plain records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial, TrialState

from hwnas._estimate import Estimate
from hwnas.budget import Budget
from hwnas.jobs._folder.job import Job
from hwnas.jobs._folder.spec import Finalist
from hwnas.jobs._queue.calibration import CALIBRATIONS, disagreements
from hwnas.jobs._queue.sizing import MeasuredIn, Pace
from hwnas.jobs._records.attempts import STALE
from hwnas.jobs._records.records import Failure, JobView, ParentView, State, TrialRecord
from hwnas.jobs._records.train_jobs import train_jobs
from hwnas.strategy import places

if TYPE_CHECKING:
    from hwnas.jobs._folder.spec import Chosen, JobSpec, Parent

VOID = "void"
"""Marks trials that died before they had an arch; they count for nothing."""
MEASURED_IN = "measured_in"
"""How long a trial's measurements took: the fields of a `MeasuredIn` by device."""
_LOG_LINES = 12
_STATES: Mapping[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "failed",
}


def counted(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that count: those that had an arch."""
    return [t for t in trials if VOID not in t.user_attrs]


def budget_of(spec: JobSpec) -> Budget:
    """The job's budget; it was checked when the job was made."""
    own = (spec.metric, *spec.metrics, *spec.costs)
    return Budget.parse(spec.budget, metrics=own) if spec.budget else Budget()


def read_job(where: Path | str) -> JobView:
    """Everything that a job has found so far; one that runs can be read too.

    Raises:
        JobError: there is no job, or it cannot be read.
    """
    return view_of(Job.open(where))


def read_pace(folder: Path | str) -> Pace:
    """How long the trials of a job took, and how long their measuring.

    Raises:
        JobError: there is no job, or it cannot be read.
    """
    job = Job.open(folder)
    pace = Pace(job.spec.parallel)
    for trial in view_of(job).trials:
        if trial.measured_in and trial.elapsed is not None:
            pace.add(trial.elapsed, trial.measured_in)
    return pace


def view_of(job: Job) -> JobView:
    """See `read_job`."""
    spec = job.spec
    budget = budget_of(spec)
    finalists = job.read("finalists.json", dict[str, Finalist]) or {}
    trials = counted(job.study_store().load().get_trials(deepcopy=False))
    present = job.life.now()
    records = tuple(record_of(t, job, budget, finalists) for t in trials)
    parent = _parent(spec.parent) if spec.parent else None
    if parent is not None:
        at = places(trials, [t.arch for t in parent.trials])
        records = tuple(
            replace(r, chosen=parent.trials[at[r.number]].number) if r.number in at else r
            for r in records
        )
    return JobView(
        name=spec.name,
        where=job.where,
        folder=job.folder,
        budget=budget,
        objectives=tuple((o.name, o.direction) for o in spec.objectives),
        metric=spec.metric,
        strategy=spec.strategy,
        seed=spec.seed,
        created=spec.created,
        versions=spec.versions,
        space=spec.space.name,
        fingerprint=spec.space.fingerprint,
        size=spec.space.size,
        task=spec.task,
        trials_asked=spec.trials,
        counting=spec.counting,
        active=job.is_running(),
        state=None if present is None else present.state,
        warnings=tuple(_warnings(job)),
        trials=records,
        winner=_best(r for r in records if not finalists or str(r.number) in finalists),
        nearest=_nearest(records),
        parent=parent,
        train_jobs=tuple(map(read_job, train_jobs(job))),
    )


def _parent(parent: Parent) -> ParentView:
    return ParentView(parent.job, parent.name, tuple(map(_stage1, parent.chosen)))


def _stage1(chosen: Chosen) -> TrialRecord:
    return TrialRecord(
        number=chosen.number,
        state="complete",
        arch=chosen.arch,
        metrics=chosen.metrics,
        costs={name: Estimate(*pair) for name, pair in chosen.costs.items()},
        reward=chosen.reward,
        feasible=all(v <= 0 for v in chosen.violations.values()),
        violations=chosen.violations,
        step=chosen.step,
        elapsed=chosen.elapsed,
    )


def _warnings(job: Job) -> Iterator[str]:
    told = job.read(CALIBRATIONS, dict[str, dict[str, float]]) or {}
    for device, known in told.items():
        for line in disagreements(known):
            yield f"device '{device}': {line}; its latencies may not be comparable"


def record_of(
    trial: FrozenTrial, job: Job, budget: Budget, finalists: Mapping[str, Finalist] | None = None
) -> TrialRecord:
    """One trial. Costs that the finalists' last measurements give replace those of the search."""
    attrs = trial.user_attrs
    costs = {name: Estimate(*pair) for name, pair in attrs.get("costs", {}).items()}
    violations = dict(trial.constraints)
    reward = attrs.get("reward")
    last = (finalists or {}).get(str(trial.number))
    if last is not None:
        costs |= {name: Estimate(*pair) for name, pair in last.costs.items()}
        violations, reward = last.violations, last.reward
    state = _STATES.get(trial.state, "running")
    failure = _failure(trial, job) if state == "failed" else None
    if failure is not None and failure.kind == "stale":
        state = "stale"
    elapsed = attrs.get("elapsed")
    if elapsed is None and trial.duration is not None:
        elapsed = trial.duration.total_seconds()
    return TrialRecord(
        number=trial.number,
        state=state,
        arch=trial.params,
        metrics=attrs.get("metrics", {}),
        costs=costs,
        reward=reward,
        feasible=all(v <= 0 for v in violations.values()) if state == "complete" else None,
        violations=violations,
        step=attrs.get("step"),
        started=trial.datetime_start,
        elapsed=elapsed,
        failure=failure,
        stale=attrs.get(STALE, 0),
        measured_in={k: MeasuredIn(*told) for k, told in attrs.get(MEASURED_IN, {}).items()},
    )


def _failure(trial: FrozenTrial, job: Job) -> Failure:
    told = trial.user_attrs.get("failure", {})
    return Failure(
        kind=told.get("kind", "error"),
        reason=told.get("reason", "no reason was recorded"),
        log=tuple(job.trial(trial.number).last_log().splitlines()[-_LOG_LINES:]),
    )


def _best(records: Iterable[TrialRecord]) -> int | None:
    """The feasible trial of the highest reward; of equal ones that with the largest margin."""
    able = [t for t in records if t.feasible and t.reward is not None]

    def merit(record: TrialRecord) -> tuple[float, float, int]:
        return record.reward or 0.0, -max(record.violations.values(), default=0.0), -record.number

    return max(able, key=merit).number if able else None


def _nearest(records: Iterable[TrialRecord]) -> int | None:
    """The complete trial that violates the budget least."""
    done = [t for t in records if t.state == "complete"]

    def violation(record: TrialRecord) -> float:
        return sum(v for v in record.violations.values() if v > 0)

    return min(done, key=lambda t: (violation(t), -(t.reward or 0.0))).number if done else None
