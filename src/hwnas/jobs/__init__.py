"""Search jobs: a folder, a study, processes that train, and what they found."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hwnas.jobs._folder.job import Job
from hwnas.jobs._folder.life import LifeCycle
from hwnas.jobs._folder.place import Place
from hwnas.jobs._folder.spec import (
    DeviceSpec,
    JobSpec,
    Objective,
    SpaceInfo,
    TrainEvery,
)
from hwnas.jobs._measuring.meter import (
    example,
    measure_again,
    measured_keys,
    open_at_hand,
    open_device,
)
from hwnas.jobs._measuring.registry import DeviceRegistry, find_device
from hwnas.jobs._queue.companions import Companion, Companions
from hwnas.jobs._queue.sizing import Sizing, sizing
from hwnas.jobs._records.records import Failure, JobView, ParentView, TrialRecord
from hwnas.jobs._records.train_jobs import choose, new_train_place, train_fields
from hwnas.jobs._search.observer import Observer
from hwnas.jobs._store.lease import Claims, Lease, Pulse, Watch, last_generation
from hwnas.jobs._store.store import Store

if TYPE_CHECKING:
    from hwnas.jobs._executors.base import NOT_KEPT as NOT_KEPT
    from hwnas.jobs._executors.base import Executor as Executor
    from hwnas.jobs._executors.base import ExecutorFactory as ExecutorFactory
    from hwnas.jobs._executors.base import ExecutorOptions as ExecutorOptions
    from hwnas.jobs._executors.base import Training as Training
    from hwnas.jobs._executors.choice import make_executor as make_executor
    from hwnas.jobs._executors.supervisor import train_attempt as train_attempt
    from hwnas.jobs._folder.trial_folder import TrialFolder as TrialFolder
    from hwnas.jobs._folder.weights import with_weights as with_weights
    from hwnas.jobs._measuring.adapt import adapt as adapt
    from hwnas.jobs._measuring.adapt import candidates_for as candidates_for
    from hwnas.jobs._measuring.adapt import device_named as device_named
    from hwnas.jobs._measuring.adapt import measure_archs as measure_archs
    from hwnas.jobs._measuring.adapt import random_archs as random_archs
    from hwnas.jobs._measuring.bench import ArchProgress as ArchProgress
    from hwnas.jobs._queue.evaluator import DeviceEvaluator as DeviceEvaluator
    from hwnas.jobs._queue.evaluator import Evaluator as Evaluator
    from hwnas.jobs._queue.evaluator import InfeasibleModel as InfeasibleModel
    from hwnas.jobs._queue.queue_device import QueueDevice as QueueDevice
    from hwnas.jobs._queue.worker import QueueWorker as QueueWorker
    from hwnas.jobs._records.view import read_job as read_job
    from hwnas.jobs._records.view import read_pace as read_pace
    from hwnas.jobs._search.check import at_hand as at_hand
    from hwnas.jobs._search.check import check_predicted as check_predicted
    from hwnas.jobs._search.check import check_request as check_request
    from hwnas.jobs._search.limits import candidates_of as candidates_of
    from hwnas.jobs._search.local_workers import WithWorkers as WithWorkers
    from hwnas.jobs._search.own_costs import OwnCost as OwnCost
    from hwnas.jobs._search.own_costs import own_costs as own_costs
    from hwnas.jobs._search.own_costs import resumed_costs as resumed_costs
    from hwnas.jobs._search.run import run_search as run_search

__all__ = [
    "NOT_KEPT",
    "ArchProgress",
    "Claims",
    "Companion",
    "Companions",
    "DeviceEvaluator",
    "DeviceRegistry",
    "DeviceSpec",
    "Evaluator",
    "Executor",
    "ExecutorFactory",
    "ExecutorOptions",
    "Failure",
    "InfeasibleModel",
    "Job",
    "JobSpec",
    "JobView",
    "Lease",
    "LifeCycle",
    "Objective",
    "Observer",
    "OwnCost",
    "ParentView",
    "Place",
    "Pulse",
    "QueueDevice",
    "QueueWorker",
    "Sizing",
    "SpaceInfo",
    "Store",
    "TrainEvery",
    "Training",
    "TrialFolder",
    "TrialRecord",
    "Watch",
    "WithWorkers",
    "adapt",
    "at_hand",
    "candidates_for",
    "candidates_of",
    "check_predicted",
    "check_request",
    "choose",
    "device_named",
    "example",
    "find_device",
    "last_generation",
    "make_executor",
    "measure_again",
    "measure_archs",
    "measured_keys",
    "new_train_place",
    "open_at_hand",
    "open_device",
    "own_costs",
    "random_archs",
    "read_job",
    "read_pace",
    "resumed_costs",
    "run_search",
    "sizing",
    "train_attempt",
    "train_fields",
    "with_weights",
]


_LAZY = {
    "ArchProgress": "hwnas.jobs._measuring.bench",
    "DeviceEvaluator": "hwnas.jobs._queue.evaluator",
    "Evaluator": "hwnas.jobs._queue.evaluator",
    "Executor": "hwnas.jobs._executors.base",
    "NOT_KEPT": "hwnas.jobs._executors.base",
    "ExecutorFactory": "hwnas.jobs._executors.base",
    "ExecutorOptions": "hwnas.jobs._executors.base",
    "Training": "hwnas.jobs._executors.base",
    "make_executor": "hwnas.jobs._executors.choice",
    "train_attempt": "hwnas.jobs._executors.supervisor",
    "InfeasibleModel": "hwnas.jobs._queue.evaluator",
    "QueueDevice": "hwnas.jobs._queue.queue_device",
    "QueueWorker": "hwnas.jobs._queue.worker",
    "OwnCost": "hwnas.jobs._search.own_costs",
    "WithWorkers": "hwnas.jobs._search.local_workers",
    "at_hand": "hwnas.jobs._search.check",
    "adapt": "hwnas.jobs._measuring.adapt",
    "candidates_for": "hwnas.jobs._measuring.adapt",
    "candidates_of": "hwnas.jobs._search.limits",
    "device_named": "hwnas.jobs._measuring.adapt",
    "measure_archs": "hwnas.jobs._measuring.adapt",
    "check_predicted": "hwnas.jobs._search.check",
    "check_request": "hwnas.jobs._search.check",
    "random_archs": "hwnas.jobs._measuring.adapt",
    "own_costs": "hwnas.jobs._search.own_costs",
    "resumed_costs": "hwnas.jobs._search.own_costs",
    "read_job": "hwnas.jobs._records.view",
    "with_weights": "hwnas.jobs._folder.weights",
    "read_pace": "hwnas.jobs._records.view",
    "TrialFolder": "hwnas.jobs._folder.trial_folder",
    "run_search": "hwnas.jobs._search.run",
}


def __getattr__(name: str) -> Any:
    # These import Optuna; reading the names above should not.
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
