"""Stage 2: jobs that train chosen trials of a search in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hwnas.errors import JobError, UsageError
from hwnas.jobs._folder.job import Job
from hwnas.jobs._folder.spec import Chosen, Parent

if TYPE_CHECKING:
    from hwnas.jobs._records.records import JobView, TrialRecord


_ROOM = "train"
IN_SEARCH = f"{_ROOM}/in-search"
"""Where the train job is that a search keeps itself."""
_INHERITED = (
    "space",
    "trainer",
    "trainer_options",
    "task",
    "input_shape",
    "budget",
    "reward",
    "metric",
    "metrics",
    "costs",
    "objectives",
    "counting",
    "strategy",
    "devices",
    "executor",
    "storage",
    "parallel",
    "retries",
    "seed",
)


def choose(
    view: JobView,
    numbers: Sequence[int] | None = None,
    top: int | None = None,
    pareto: bool = False,
) -> tuple[TrialRecord, ...]:
    """Trials of a search: by their numbers, the best, or those on the Pareto front.

    The best are those of the highest reward, such that keep the budget before others.

    Raises:
        UsageError: not exactly one way of choosing, a number given twice, or none.
        JobError: a trial does not exist or has no result, or there are too few.
    """
    if (numbers is not None) + (top is not None) + pareto != 1:
        raise UsageError("say which trials to train: their numbers, the top N or the Pareto front")
    if numbers is not None:
        return _numbered(view, numbers)
    if top is not None and top < 1:
        raise UsageError(f"the top {top} trials are none; choose one at least")
    if pareto:
        front = view.pareto()
        if not front:
            raise JobError(f"no trial of {view.where} keeps the budget; choose by number, or top")
        return front
    ranked = best_first(view)
    if top is not None and top > len(ranked):
        raise JobError(f"{view.where} has {len(ranked)} completed trials, fewer than {top}")
    return ranked[:top]


def best_first(view: JobView) -> tuple[TrialRecord, ...]:
    """Completed trials, those that keep the budget before others, the highest reward first."""
    return tuple(sorted(view.complete, key=lambda t: (not t.feasible, -(t.reward or 0.0))))


def _numbered(view: JobView, numbers: Sequence[int]) -> tuple[TrialRecord, ...]:
    if not numbers:
        raise UsageError("no trial is given")
    known = {trial.number: trial for trial in view.trials}
    done = ", ".join(str(t.number) for t in sorted(view.complete, key=lambda t: t.number))
    twice = [number for place, number in enumerate(numbers) if number in numbers[:place]]
    if twice:
        raise UsageError(f"trial {twice[0]} is given twice")
    for number in numbers:
        if number not in known:
            raise JobError(f"{view.where} has no trial {number}; complete: {done or 'none'}")
        trial = known[number]
        if trial.failure is not None:
            raise JobError(
                f"trial {number} of {view.where} failed ({trial.failure.reason}); complete: "
                f"{done or 'none'}"
            )
        if trial.reward is None:
            raise JobError(f"trial {number} of {view.where} has not ended; complete: {done}")
    return tuple(known[number] for number in numbers)


def parent_of(job: Job, trials: Sequence[TrialRecord]) -> Parent:
    """The link from a train job to its search."""
    info = job.spec.space
    return Parent(
        job=job.address,
        name=job.spec.name,
        fingerprint=info.fingerprint,
        code_hash=info.code_hash,
        chosen=tuple(map(_as_chosen, trials)),
        references=job.read("devices.json", dict[str, float]) or {},
    )


def train_fields(job: Job, where: str, trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """The fields of a train job's request, as they are where nothing else is asked for."""
    return {
        **{name: getattr(job.spec, name) for name in _INHERITED},
        "name": train_name(job, where),
        "trials": len(trials),
        "max_failed": len(trials),
        "parent": parent_of(job, trials),
    }


def _as_chosen(trial: TrialRecord) -> Chosen:
    assert trial.reward is not None
    return Chosen(
        number=trial.number,
        arch=dict(trial.arch),
        metrics=dict(trial.metrics),
        costs={name: (cost.value, cost.std) for name, cost in trial.costs.items()},
        reward=trial.reward,
        violations=dict(trial.violations),
        step=trial.step,
        elapsed=trial.elapsed,
    )


def train_jobs(job: Job) -> list[str]:
    """The train jobs inside a search's place, oldest first."""
    found = [name for name in _taken(job) if Job.exists(f"{job.where}/{_ROOM}/{name}")]
    return [f"{job.where}/{_ROOM}/{name}" for name in sorted(found, key=lambda n: (len(n), n))]


def train_name(parent: Job, where: str) -> str:
    """What a train job is called: by its search too where it lies in that one's place."""
    name = Job.name_at(where)
    inside = where == f"{parent.where}/{_ROOM}/{name}"
    return f"{parent.spec.name}-train-{name}" if inside else name


def new_train_place(job: Job) -> str:
    """Where the next train job of a search goes."""
    taken = _taken(job)
    free = next(str(k) for k in range(1, len(taken) + 2) if str(k) not in taken)
    return f"{job.where}/{_ROOM}/{free}"


def _taken(job: Job) -> set[str]:
    if job.place.url is None:
        return {path.name for path in (job.folder / _ROOM).glob("*")}
    return {name.split("/")[1] for name in job.store.names(_ROOM)}
