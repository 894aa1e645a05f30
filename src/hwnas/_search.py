"""The Python interface: `hwnas.search`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import _refs
from hwnas.cost import Counting
from hwnas.errors import JobError, UsageError
from hwnas.jobs import (
    DeviceSpec,
    Job,
    JobSpec,
    Objective,
    Observer,
    SpaceInfo,
    find_device,
)
from hwnas.zoo import load_space

if TYPE_CHECKING:
    from hwnas.budget import Budget
    from hwnas.jobs import ExecutorFactory, JobView, OwnCost, TrialRecord, WithWorkers
    from hwnas.report import Stages
    from hwnas.space import SearchSpace
    from hwnas.tasks import Task

Trainer = Callable[..., Mapping[str, float]]


class Result:
    """What a job found. It reads the job's folder, so it can be made again: `Result.open`."""

    def __init__(self, view: JobView, space: SearchSpace, task: Task | None) -> None:
        self.view = view
        self.space = space
        self._task = task

    @classmethod
    def open(cls, folder: str | Path, space: SearchSpace | None = None) -> Result:
        """The result of the job in `folder`, which may be the URL of a store.

        `space` must be given where the search was started with an object that cannot be imported.

        Raises:
            JobError: there is no job, or its space cannot be made from the job alone.
        """
        from hwnas.jobs import read_job

        job = Job.open(folder)
        task = open_task(job.spec.task)
        return cls(read_job(folder), space or job_space(job, task), task)

    @property
    def folder(self) -> Path:
        """Where everything is; of a job in a store what this machine has of it."""
        return self.view.folder

    @property
    def job(self) -> str:
        """The job's folder, or the URL of its store."""
        return self.view.where

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """All trials."""
        return self.view.trials

    @property
    def feasible(self) -> bool:
        """Whether a trial keeps the budget."""
        return self.view.winner is not None

    @property
    def best(self) -> TrialRecord:
        """The winner; where no trial keeps the budget, the one that violates it least.

        Raises:
            JobError: no trial was completed.
        """
        number = self.view.winner if self.feasible else self.view.nearest
        for trial in self.view.trials:
            if trial.number == number:
                return trial
        raise JobError(f"no trial of {self.job} was completed")

    @property
    def stages(self) -> Stages | None:
        """Of a train job: each network as the search had it and as it is now, and how well the
        ranks agree; None for a search."""
        from hwnas.report import compare_stages

        return compare_stages(self.view)

    def pareto(self) -> tuple[TrialRecord, ...]:
        """The feasible trials that no other beats in accuracy and in every budgeted cost."""
        return self.view.pareto()

    def report(self, path: str | Path) -> Path:
        """Write the report, one HTML file that needs no network."""
        from hwnas.report import write_report

        write_report(self.view, Path(path))
        return Path(path)

    def export(self, path: str | Path, trial: int | None = None) -> Path:
        """Write `arch.json`, `model.onnx`, `model.safetensors` and `card.md` of the winner.

        This is the one place that reads the task's test split.
        """
        from hwnas.report import export

        number = self.best.number if trial is None else trial
        export(self.view, self.space, self._task, number, Path(path))
        return Path(path)


def search(
    space: SearchSpace | str,
    train: Trainer | str | None = None,
    *,
    task: Task | str | None = None,
    budget: Budget | str = "",
    costs: Iterable[OwnCost] = (),
    trials: int | None = None,
    parallel: int | None = None,
    strategy: str = "evolution",
    seed: int = 0,
    reward: str | Callable[..., float] = "hard",
    objective: str = "reward",
    metric: str = "accuracy",
    counting: Counting = Counting(),
    options: Mapping[str, Any] | None = None,
    devices: Sequence[str | DeviceSpec] = ("local",),
    executor: str | ExecutorFactory | None = None,
    input_shape: Sequence[int] | None = None,
    max_failed: int | None = None,
    trial_timeout: float | None = None,
    retries: int | None = None,
    time_limit: float | None = None,
    folder: str | Path | None = None,
    storage: str | None = None,
    train_every: int | None = None,
    train_top: int = 3,
    train_options: Mapping[str, Any] | None = None,
    train_timeout: float | None = None,
    resume: bool = False,
    accept_code_change: bool = False,
    with_workers: WithWorkers | int | None = None,
    observer: Observer | None = None,
) -> Result:
    """Search `space` for the network of the highest reward that keeps `budget`.

    Args:
        space: a search space, the name of one of the zoo, or a reference `module:name`.
        train: `train(model, data, report, *, seed, **options) -> dict of metrics`, as a function
            or a reference; by default the ready trainer, which needs a `task`.
        task: data, such as `digits` or `images:photos.zip?size=64`; None if the trainer brings
            its own.
        budget: such as `latency <= 2 ms, params <= 3 M`. No arch is trained that breaks a limit
            on a computed cost; limits on measured ones are judged after training.
        costs: costs of your own that each trial records, and that the budget and the objective may
            name: `hwnas.cost.Cost` objects, functions of an arch, or references
            `[NAME=]module:name` (see `hwnas.cost.load_cost`).
        trials: how many archs to train; by default 24.
        parallel: how many at a time; by default one.
        strategy: `random`, `evolution`, `tpe`, `nsga2` or `gp`.
        seed: decides the archs, the data splits and the training.
        reward: `hard`, `soft`, or a function (accuracy, costs, budget) -> number.
        objective: `reward`, or several such as `max accuracy, min latency`.
        metric: the trainer's metric that counts as accuracy.
        counting: what `flops` counts; by default 2 x MACs.
        options: keyword arguments for the trainer.
        devices: what latencies are measured on: `NAME` or `NAME=RUNTIME?threads=2`; the first is
            meant where a budget names none.
        executor: what trains: `local` (processes of this machine, the default), `command:TEMPLATE`
            (a command per trial, such as `command:srun {trial}`), or an installed one with its
            options, `NAME?option=value`; or an object that makes one.
        input_shape: (C, H, W) of one input, where there is no task to tell.
        max_failed: the search ends when more trials than this fail; by default a third,
            and three at least.
        trial_timeout: seconds after which a trial is failed.
        retries: how often a trial that failed is run again before it counts as failed; 0 by
            default. What its trainer left in `report.folder` is still there.
        time_limit: seconds after which no trial is started any more, and those that run are asked
            to stop; the winner is then chosen among those that ended.
        folder: the job's folder, or the URL of a store (`s3://`, `gs://`, `az://`, `file://`) that
            other machines see; by default a new folder under `runs/`.
        storage: an Optuna storage URL for the study; by default a journal file in the folder.
        train_every: train the best trials in full whenever so many more are completed, in a job of
            its own (`train/in-search`); by default never. See `hwnas.train`.
        train_top: how many at a time, of those that were not trained in full before.
        train_options: options of the trainer that replace others then, such as `epochs`.
        train_timeout: seconds after which a full training is failed; by default there is no limit.
        resume: go on with the job in `folder`, or start it if there is none. Give the same space
            and trainer, and the reward, costs and executor that are objects; all else is read from
            the folder, save that `trials`, `parallel`, `executor` and the limits on failures and
            time, if given, replace what was asked for before.
        accept_code_change: resume although the code that builds the networks has changed.
        with_workers: how many workers to start on this machine for each device `NAME=queue`; they
            end with the search. `hwnas.jobs.WithWorkers` also says how they measure. If one cannot
            start, no trial does.
        observer: told of what happens.

    Returns:
        The result, also where no network that was trained is feasible (`result.feasible`).

    Raises:
        InfeasibleError: no arch keeps the budget's limits on computed costs; nothing was trained.
        HwnasError: an argument makes no sense, or the search cannot go on.
    """
    from hwnas.budget import make_reward
    from hwnas.jobs import (
        WithWorkers,
        candidates_of,
        check_predicted,
        check_request,
        make_executor,
        own_costs,
        resumed_costs,
        run_search,
    )
    from hwnas.tasks import check_trainer

    task = open_task(task) if isinstance(task, str) else task
    shape = tuple(task.input_shape if input_shape is None and task else input_shape or ()) or None
    classes = task.num_classes if task else None
    reference = space if isinstance(space, str) else None
    found = load_space(space, shape, classes) if isinstance(space, str) else space
    trainer, ready = find_trainer(train, task)
    if train is None and task is not None:
        options = {**task.defaults, **(options or {})}
    named = executor if isinstance(executor, str) else None
    make = None if isinstance(executor, str) else executor
    if isinstance(with_workers, int):
        with_workers = WithWorkers(with_workers)
    where = folder if folder is not None else new_folder(reference or "search")
    inputs = (1, *shape) if shape else ()
    candidates = None
    if resume and Job.exists(where):
        job = Job.open(where)
        check_code(job, found, accept_code_change)
        if named is not None:
            make_executor(named).check(job.spec)
        own = resumed_costs(job, costs, found, inputs)
        job.ask_for(
            trials=trials,
            parallel=parallel,
            executor=named,
            max_failed=max_failed,
            trial_timeout=trial_timeout,
            retries=retries,
            time_limit=time_limit,
        )
        judge = make_reward(job.spec.reward if isinstance(reward, str) else reward)
    else:
        judge = make_reward(reward)
        own, references = own_costs(costs, found, inputs)
        listed = tuple(d if isinstance(d, DeviceSpec) else find_device(d) for d in devices)
        declared = tuple(getattr(trainer, "metrics", ()))
        spec = make_spec(
            name=Job.name_at(where),
            space=_space_info(found, reference),
            trainer=ready,
            trainer_options=dict(options or {}),
            task=task.spec if task else None,
            input_shape=shape,
            budget=str(budget),
            reward=judge.spec,
            metric=metric,
            metrics=declared,
            costs=references,
            counting=counting,
            objectives=Objective.parse(objective),
            strategy=strategy,
            devices=listed,
            executor=None if make else named or "local",
            storage=storage,
            trials=24 if trials is None else trials,
            parallel=1 if parallel is None else parallel,
            max_failed=max(3, (trials or 24) // 3) if max_failed is None else max_failed,
            trial_timeout=trial_timeout,
            retries=retries or 0,
            time_limit=time_limit,
            seed=seed,
            train_every=None
            if train_every is None
            else {
                "every": train_every,
                "top": train_top,
                "options": dict(train_options or {}),
                "trial_timeout": train_timeout,
            },
        )
        check_trainer(trainer, spec.trainer_options)
        if spec.train_every is not None:
            check_trainer(trainer, {**spec.trainer_options, **spec.train_every.options})
        check_request(spec)
        if with_workers is not None:
            with_workers.check(spec)
        check_predicted(own, spec)
        candidates = candidates_of(spec, found, own)
        job = Job.create(where, spec, found)
    view = run_search(
        job, found, trainer, task, judge, observer, own, candidates, make, with_workers
    )
    return Result(view, found, task)


def resume_search(
    folder: str | Path,
    *,
    trials: int | None = None,
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
    """Go on with a job that was started by references, from its folder alone.

    Raises:
        JobError: the job was started with objects; call `search(..., resume=True)` with them. Or
            it is a train job.
    """
    job = Job.open(folder)
    if job.spec.parent is not None:
        raise JobError(f"{folder} is a train job; go on with it by hwnas train --resume")
    task = open_task(job.spec.task)
    if job.spec.trainer is None:
        raise JobError(
            f"{folder} was started with a trainer that cannot be imported; resume it from the "
            "program that started it, with hwnas.search(..., resume=True)"
        )
    return search(
        job_space(job, task),
        job.spec.trainer,
        task=task,
        trials=trials,
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


def job_space(job: Job, task: Task | None) -> SearchSpace:
    """The space of a job that was started by a name or reference."""
    reference = job.spec.space.reference
    if reference is None:
        raise JobError(
            f"{job.where} was started with a space object; from the program that made it, call "
            "hwnas.Result.open(folder, space) or hwnas.search(..., resume=True)"
        )
    return load_space(reference, job.spec.input_shape, task.num_classes if task else None)


def open_task(spec: str | None) -> Task | None:
    from hwnas.tasks import task_from_spec

    return task_from_spec(spec) if spec else None


def find_trainer(train: Trainer | str | None, task: Task | None) -> tuple[Trainer, str | None]:
    """The trainer and its reference, None where it has none."""
    if train is None:
        from hwnas.tasks import classify

        if task is None:
            raise UsageError("give a task (such as digits) for the ready trainer, or a trainer")
        return classify, _refs.name_of(classify)
    if isinstance(train, str):
        from hwnas.tasks import load_trainer

        return load_trainer(train), train
    if not callable(train):
        raise UsageError(f"the trainer is {type(train).__name__}, not a function")
    return train, _refs.name_of(train)


def _space_info(space: SearchSpace, reference: str | None) -> SpaceInfo:
    return SpaceInfo(
        name=reference or str(getattr(space, "name", type(space).__name__)),
        reference=reference,
        fingerprint=space.fingerprint,
        code_hash=space.code_hash,
        size=space.size(),
    )


def make_spec(**fields: Any) -> JobSpec:
    from pydantic import ValidationError

    try:
        return JobSpec(**fields)
    except ValidationError as error:
        problem = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error


def check_code(job: Job, space: SearchSpace, accept: bool) -> None:
    if space.code_hash != job.spec.space.code_hash and not accept:
        raise JobError(
            f"the code that builds the networks has changed since {job.where} was started; "
            "add --accept-code-change if its results still hold, or start a new job"
        )


def new_folder(name: str) -> Path:
    """A new job folder under `runs/`, named after a space and the time."""
    stem = name.rpartition(":")[2]
    return Path("runs") / f"{stem}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
