"""Running a search job from its request to its winner."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from hwnas._process import Message
from hwnas.errors import JobError
from hwnas.jobs._executors.base import ExecutorFactory, Training
from hwnas.jobs._executors.choice import make_executor
from hwnas.jobs._folder.life import LifeCycle, Living
from hwnas.jobs._folder.space_record import describe_space, what_changed
from hwnas.jobs._folder.spec import QUEUE
from hwnas.jobs._folder.weights import builder
from hwnas.jobs._measuring.at_hand import AtHand, ServingTrials
from hwnas.jobs._measuring.meter import Meter, onnx_name, remember_references
from hwnas.jobs._queue.asked import ask_for
from hwnas.jobs._queue.calibration import CALIBRATIONS, known_calibrations
from hwnas.jobs._queue.queue import MeasurementQueue
from hwnas.jobs._records.view import budget_of, counted, view_of
from hwnas.jobs._search.check import adapted_in, check_request
from hwnas.jobs._search.finalists import choose_winner
from hwnas.jobs._search.in_search import Beside, InSearch
from hwnas.jobs._search.limits import candidates_of
from hwnas.jobs._search.observer import Observer
from hwnas.jobs._store.store import Store

if TYPE_CHECKING:
    from hwnas.budget import Budget, Reward
    from hwnas.cost import Cost
    from hwnas.jobs._folder.job import Job
    from hwnas.jobs._folder.spec import DeviceSpec
    from hwnas.jobs._records.records import JobView
    from hwnas.jobs._search.local_workers import WithWorkers
    from hwnas.space import SearchSpace
    from hwnas.strategy import Candidates
    from hwnas.tasks import Task


def run_search(
    job: Job,
    space: SearchSpace,
    trainer: Callable[..., Mapping[str, float]],
    task: Task | None = None,
    reward: Reward | None = None,
    observer: Observer | None = None,
    costs: Mapping[str, Cost] | None = None,
    candidates: Candidates | None = None,
    executor: ExecutorFactory | None = None,
    workers: WithWorkers | None = None,
    within: Callable[[], bool] | None = None,
) -> JobView:
    """Run `job` until its trials are done and its winner is chosen; go on where it was cut off.

    `costs` are those of the user's own that the request names, `candidates` those of
    `candidates_of`, if the caller has made them already; `executor` makes what trains, by default
    the one that the request names. `workers` are started on this machine and end with this call. A
    train job that a search runs itself is `within`: that tells whether the search ends, and its
    workers measure for both.

    Raises:
        InfeasibleError: no arch keeps the budget's limits on computed costs.
        JobError: the space is not the job's, another process runs the job, or too many trials
            failed.
    """
    from hwnas.budget import make_reward

    spec = job.spec
    watcher = observer or Observer()
    if space.fingerprint != spec.space.fingerprint:
        before = job.space_record()
        changes = what_changed(before, describe_space(space)) if before is not None else ""
        raise JobError(
            f"the space is not the one that {job.where} was started with: "
            f"{changes or 'its decisions, choices or conditions have changed'}; start a new job"
        )
    budget = budget_of(spec)
    judge = reward or make_reward(spec.reward)
    keys = check_request(spec)
    make = executor or _executor_of(job)
    if candidates is None:
        candidates = candidates_of(spec, space, costs or {})
    known = _references(costs or {}, keys) | (spec.parent.references if spec.parent else {})
    if workers is not None:
        workers.check(spec)
    with ExitStack() as stack:
        stack.enter_context(job.running())
        asked = _ask_workers(job) if within is None else []
        living = stack.enter_context(Living(job.life, job.check, asked))
        if workers is not None:
            watcher.noted("starting workers")
            stack.enter_context(workers.started(job))

        def stopping() -> bool:
            return living.stopping or (within is not None and within())

        def train(train_job: Job, ending: Callable[[], bool]) -> object:
            beside = Beside(watcher)
            return run_search(
                train_job,
                space,
                trainer,
                task,
                judge,
                beside,
                costs,
                executor=make,
                within=ending,
            )

        remember_references(job, known)
        _train_all(
            job,
            candidates,
            costs or {},
            trainer,
            task,
            budget,
            judge,
            keys,
            watcher,
            make,
            stopping,
            train,
        )
        if keys:
            choose_winner(job, space, budget, judge, keys, watcher)
        _keep_calibrations(job)
    view = view_of(job)
    for line in view.warnings:
        watcher.noted(line)
    return view


def _keep_calibrations(job: Job) -> None:
    """What the workers told of the calibration network, where the job's readers find it."""
    found = {}
    for one in job.spec.devices:
        if one.runtime == QUEUE:
            store = Store(one.store) if one.store else job.store
            found[one.name] = known_calibrations(MeasurementQueue(store, one.name).store)
    if any(found.values()):
        job.write(CALIBRATIONS, found)


def _executor_of(job: Job) -> ExecutorFactory:
    if job.spec.executor is None:
        raise JobError(
            f"{job.where} was started with an executor object; resume it from the program that "
            "made it, or name another (--executor)"
        )
    return make_executor(job.spec.executor)


def _ask_workers(job: Job) -> list[LifeCycle]:
    """Name the devices that workers are to serve; where those look that do not see the job."""
    asked: dict[str, list[str]] = {}
    stores = {job.store.url: job.store}
    for one in job.spec.devices:
        if one.runtime == QUEUE:
            store = job.store if one.store is None else Store(one.store)
            stores.setdefault(store.url, store)
            asked.setdefault(store.url, []).append(one.name)
    for url, names in asked.items():
        ask_for(stores[url], names)
    return [LifeCycle(stores[url]) for url in sorted(asked) if url != job.store.url]


def _references(costs: Mapping[str, Cost], keys: Mapping[str, DeviceSpec]) -> dict[str, float]:
    """The speeds of the devices that the predicted latencies refer to."""
    adapted = {device.name: adapted_in(costs[key]) for key, device in keys.items() if key in costs}
    return {
        name: one.reference for name, one in adapted.items() if one is not None and one.reference
    }


def _train_all(
    job: Job,
    candidates: Candidates,
    costs: Mapping[str, Cost],
    trainer: Callable[..., Mapping[str, float]],
    task: Task | None,
    budget: Budget,
    reward: Reward,
    keys: Mapping[str, DeviceSpec],
    observer: Observer,
    make: ExecutorFactory,
    stopping: Callable[[], bool],
    train: Callable[[Job, Callable[[], bool]], object],
) -> None:
    import cloudpickle
    import optuna

    from hwnas.jobs._search.coordinator import Coordinator
    from hwnas.strategy import ArchSampler, ListedSampler, SpaceSampler, make_strategy

    spec, space = job.spec, candidates.space
    # Each trial is announced by us; Optuna's own lines would break the live display.
    optuna.logging.get_logger("optuna").setLevel(logging.ERROR)
    sampler: ArchSampler
    if spec.parent is None:
        sampler = SpaceSampler(candidates, make_strategy(spec.strategy), spec.seed)
    else:
        archs = [chosen.arch for chosen in spec.parent.chosen]
        sampler = ListedSampler(space, archs, counted)
    batches = sorted({d.batch_size for d in keys.values() if d.reads_onnx})
    exports = {onnx_name(size): (size, *(spec.input_shape or ())) for size in batches}
    built = builder(space, spec.parent)
    payload: Any = (built, trainer, spec.trainer_options, task, spec.input_shape, spec.counting)
    events: queue.Queue[Message] = queue.Queue()
    with ExitStack() as stack:
        training = Training(
            payload=cloudpickle.dumps(payload),
            seed=spec.seed,
            metric=spec.metric,
            exports=exports,
            log=job.folder / "workers.log",
        )
        executor = make(job, training, spec.parallel, spec.trial_timeout, events)
        stack.callback(executor.close)
        at_hand = AtHand(job)
        stack.callback(at_hand.close)
        stack.callback(ServingTrials(job, space, at_hand).close)
        meter = Meter(job, space, keys, events, at_hand) if keys else None
        if meter is not None:
            stack.callback(meter.close)
        coordinator = Coordinator(
            job,
            space,
            costs,
            sampler,
            job.study_store(),
            budget,
            reward,
            executor,
            meter,
            events,
            observer,
            stopping,
        )
        observer.started(job, coordinator.done)
        if candidates.filters:
            observer.limited(candidates)
        stage2 = None
        if spec.train_every is not None:
            stage2 = InSearch(
                job, spec.train_every, space, lambda one: train(one, lambda: coordinator.ending)
            )
        coordinator.run(stage2.pause_at if stage2 else None)
        while stage2 and coordinator.completed >= stage2.pause_at and not coordinator.ending:
            executor.rest()
            stage2.train()
            observer.phase("")
            coordinator.run(stage2.pause_at)
        for line in coordinator.pace.summary():
            observer.noted(line)
        if spec.parent is None and coordinator.exhausted:
            keeps = " that keeps the limits" if candidates.filters else ""
            observer.phase(f"every arch of the space{keeps} has been tried ({coordinator.done})")
