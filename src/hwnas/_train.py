"""The Python interface of stage 2: `hwnas.train`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas._search import (
    Result,
    Trainer,
    check_code,
    find_trainer,
    job_space,
    make_spec,
    open_task,
    search,
)
from hwnas.errors import JobError, UsageError
from hwnas.jobs import Job, Observer

if TYPE_CHECKING:
    from hwnas.jobs import ExecutorFactory, OwnCost, WithWorkers
    from hwnas.space import SearchSpace
    from hwnas.tasks import Task


def train(
    job: str | Path,
    trials: Sequence[int] | None = None,
    *,
    top: int | None = None,
    pareto: bool = False,
    train: Trainer | str | None = None,
    options: Mapping[str, Any] | None = None,
    from_weights: bool = False,
    task: Task | str | None = None,
    seed: int | None = None,
    parallel: int | None = None,
    executor: str | ExecutorFactory | None = None,
    max_failed: int | None = None,
    trial_timeout: float | None = None,
    retries: int | None = None,
    time_limit: float | None = None,
    folder: str | Path | None = None,
    space: SearchSpace | None = None,
    costs: Iterable[OwnCost] = (),
    reward: Callable[..., float] | None = None,
    resume: bool = False,
    accept_code_change: bool = False,
    with_workers: WithWorkers | int | None = None,
    observer: Observer | None = None,
) -> Result:
    """Train chosen trials of the search `job` in full, and measure them again: stage 2.

    Space, budget, reward, objectives, costs, devices and seed are the search's. The networks begin
    with new weights, unless `from_weights`, are trained by the search's trainer or another, and all
    of them are measured in fresh processes with nothing else running; latencies refer to the same
    host speed as the search's. The search may still run.

    Args:
        job: the search's folder.
        trials: the numbers of the trials to train, or
        top: train so many, those of the highest reward, such that keep the budget before others, or
        pareto: train those that no other beats in accuracy and in every budgeted cost.
        train: another trainer, a function or a reference; by default the search's.
        options: keyword arguments for the trainer, such as `epochs`, in place of those of the
            search's trainer or beside them; another trainer gets these alone.
        from_weights: begin with the weights that the search left, in place of new ones; its folder
            is then needed until the last of them has begun.
        task: other data for the same inputs and classes, such as the same images without a limit.
        seed: decides data splits and training; by default the search's, by which no image that the
            search has seen gets into the test split.
        parallel: how many at a time; by default as many as in the search.
        executor: what trains; by default what did in the search.
        max_failed: the job ends when more trials than this fail; by default it goes on.
        trial_timeout: seconds after which a trial is failed; by default there is no limit.
        retries: how often a trial that failed is run again; by default as in the search.
        time_limit: seconds after which no trial is started any more.
        folder: the job's folder; by default `train/1`, `train/2` ... in the search's.
        space: the space, where the search was started with an object that cannot be imported.
        costs: costs that the search was given as objects.
        reward: the reward, where it was such a function.
        resume: go on with the train job in `folder`, or start it if there is none; what was chosen
            and the trainer's options are then read from it.
        accept_code_change: although the code that builds the networks has changed.
        with_workers: workers to start on this machine for devices `NAME=queue`; see
            `hwnas.search`.
        observer: told of what happens.

    Returns:
        The result. Its `stages` hold both stages against each other; `export` writes the winner of
        stage 2.

    Raises:
        HwnasError: there is no such search or trial, an argument makes no sense, or the job cannot
            go on.
    """
    from hwnas.budget import make_reward
    from hwnas.jobs import (
        WithWorkers,
        check_predicted,
        check_request,
        choose,
        new_train_place,
        read_job,
        resumed_costs,
        run_search,
        train_fields,
        with_weights,
    )
    from hwnas.tasks import check_trainer

    if resume and folder is not None and Job.exists(folder):
        return resume_train(
            folder,
            train=train,
            space=space,
            costs=costs,
            reward=reward,
            parallel=parallel,
            executor=executor,
            max_failed=max_failed,
            trial_timeout=trial_timeout,
            retries=retries,
            time_limit=time_limit,
            accept_code_change=accept_code_change,
            with_workers=with_workers,
            observer=observer,
        )
    parent = Job.open(job)
    spec = parent.spec
    if spec.parent is not None:
        raise JobError(f"{job} is a train job itself; give its search, {spec.parent.job}")
    used = _task(parent, task)
    found = space if space is not None else job_space(parent, used)
    if found.fingerprint != spec.space.fingerprint:
        raise JobError(
            f"the space is not the one that {job} was searched with: its decisions, choices or "
            "conditions have changed"
        )
    check_code(parent, found, accept_code_change)
    if train is None and spec.trainer is None:
        raise JobError(f"{job} {_NO_TRAINER}")
    trainer, reference = find_trainer(spec.trainer if train is None else train, used)
    named = executor if isinstance(executor, str) else spec.executor if executor is None else None
    make = None if isinstance(executor, str) else executor
    if named is None and make is None:
        raise JobError(f"{job} was searched with an executor object; give one (--executor)")
    chosen = choose(read_job(job), trials, top, pareto)
    where = str(folder) if folder is not None else new_train_place(parent)
    own = resumed_costs(parent, costs, found, (1, *spec.input_shape) if spec.input_shape else ())
    judge = make_reward(spec.reward if reward is None else reward)
    fields = train_fields(parent, where, chosen)
    if train is not None:
        fields |= {"trainer_options": {}, "metrics": tuple(getattr(trainer, "metrics", ()))}
    given = {"parallel": parallel, "max_failed": max_failed, "retries": retries, "seed": seed}
    fields |= {name: value for name, value in given.items() if value is not None}
    if from_weights:
        fields["parent"] = with_weights(fields["parent"])
    asked = make_spec(
        **{
            **fields,
            "space": spec.space.model_copy(update={"code_hash": found.code_hash}),
            "trainer": reference,
            "trainer_options": {**fields["trainer_options"], **(options or {})},
            "task": used.spec if used else None,
            "executor": named,
            "trial_timeout": trial_timeout,
            "time_limit": time_limit,
        }
    )
    check_trainer(trainer, asked.trainer_options)
    check_request(asked)
    if isinstance(with_workers, int):
        with_workers = WithWorkers(with_workers)
    if with_workers is not None:
        with_workers.check(asked)
    check_predicted(own, asked)
    train_job = Job.create(where, asked, found)
    view = run_search(
        train_job,
        found,
        trainer,
        used,
        judge,
        observer,
        own,
        executor=make,
        workers=with_workers,
    )
    return Result(view, found, used)


def resume_train(
    folder: str | Path,
    *,
    train: Trainer | str | None = None,
    space: SearchSpace | None = None,
    costs: Iterable[OwnCost] = (),
    reward: Callable[..., float] | None = None,
    parallel: int | None = None,
    executor: str | ExecutorFactory | None = None,
    max_failed: int | None = None,
    trial_timeout: float | None = None,
    retries: int | None = None,
    time_limit: float | None = None,
    accept_code_change: bool = False,
    with_workers: WithWorkers | int | None = None,
    observer: Observer | None = None,
) -> Result:
    """Go on with the train job in `folder`; the arguments are those of `train`.

    Raises:
        JobError: there is no train job, or it was started with objects that are not given again.
    """
    job = Job.open(folder)
    spec = job.spec
    if spec.parent is None:
        raise JobError(f"{folder} is a search; go on with it by hwnas search --resume")
    if train is None and spec.trainer is None:
        raise JobError(f"{folder} {_NO_TRAINER}")
    task = open_task(spec.task)
    return search(
        space if space is not None else job_space(job, task),
        spec.trainer if train is None else train,
        task=task,
        costs=costs,
        reward=spec.reward if reward is None else reward,
        parallel=parallel,
        executor=executor,
        max_failed=max_failed,
        trial_timeout=trial_timeout,
        retries=retries,
        time_limit=time_limit,
        folder=folder,
        resume=True,
        accept_code_change=accept_code_change,
        with_workers=with_workers,
        observer=observer,
    )


_NO_TRAINER = (
    "was started with a trainer that cannot be imported; give one: --train module:name, or "
    "hwnas.train(..., train=...)"
)


def _task(parent: Job, task: Task | str | None) -> Task | None:
    """The data of stage 2, which has to fit the networks of stage 1."""
    first = open_task(parent.spec.task)
    other = open_task(task) if isinstance(task, str) else task
    if other is None or first is None:
        return other or first
    for what in ("input_shape", "num_classes"):
        one, two = getattr(first, what), getattr(other, what)
        if one != two:
            raise UsageError(
                f"the task {other.spec} does not fit the networks: its {what} is {two}, and that "
                f"of {parent.where} is {one}"
            )
    return other
