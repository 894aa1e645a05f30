"""`hwnas vertex search`: a search with a trainer that was written for Vertex."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.cli._console import say
from hwnas.cli._vertex_flags import (
    Calculator,
    Cloud,
    CloudWorkers,
    Reward,
    Root,
    SearchHardware,
    Space,
    Strategy,
    Trainer,
    TrainHardware,
    Trials,
)
from hwnas.cli._vertex_programs import measuring_of, space_of, trainer_flags, trainer_of
from hwnas.cli._vertex_progress import watched_search
from hwnas.errors import JobError, UsageError

if TYPE_CHECKING:
    from hwnas.jobs import JobView
    from hwnas.vertex import FullTraining


def search(
    space: Space,
    reward: Reward,
    root: Root,
    trials: Trials,
    trainer: Trainer,
    hardware: SearchHardware,
    full: TrainHardware,
    calculator: Calculator,
    workers: CloudWorkers,
    strategy: Strategy,
    cloud: Cloud,
) -> None:
    """Search, with a trainer that follows Vertex's protocol, until all trials are done."""
    from hwnas.vertex import SearchRequest, job_index, vertex_search

    index = job_index(root.root_output_dir)
    request = SearchRequest(
        trainer=trainer_of(trainer, cloud, index.root, hardware.accelerator_type),
        search_space=space_of(space),
        metric=metric_of(reward),
        flags=trainer_flags(trainer, hardware.search_docker_flags, "--search_docker_flags"),
        trials=trials.max_nas_trial,
        parallel=trials.max_parallel_nas_trial,
        max_failed=trials.most_failed,
        strategy=strategy.strategy,
        seed=strategy.seed,
        measuring=measuring_of(calculator, cloud, index.root, workers.num_cloud_latency_workers),
        full=full_training_of(trainer, full, trials),
    )
    with watched_search() as watch:
        view = vertex_search(index, trials.job_name, request, watch=watch)
    tell_best(view)


def full_training_of(trainer: Trainer, full: TrainHardware, trials: Trials) -> FullTraining | None:
    """What is trained in full while the search goes on; None unless there are flags for it."""
    from hwnas.vertex import FullTraining

    if full.train_docker_flags is None:
        return None
    return FullTraining(
        flags=trainer_flags(trainer, full.train_docker_flags, "--train_docker_flags"),
        parallel=trials.train_max_parallel_trial,
        frequency=trials.train_frequency,
    )


def tell_best(view: JobView) -> None:
    """Say which trial is the best.

    Raises:
        JobError: none has succeeded.
    """
    if not view.complete:
        raise JobError(f"no trial of {view.where} has succeeded")
    best = view.complete[0]
    say(f"best: trial {best.number + 1}, {view.metric} {best.metrics[view.metric]:.4g}")


def metric_of(reward: Reward) -> str:
    """The metric that is maximised.

    Raises:
        UsageError: none is named.
    """
    if not reward.nas_target_reward_metric:
        raise UsageError("--nas_target_reward_metric must be set: the metric that trials report")
    return reward.nas_target_reward_metric
