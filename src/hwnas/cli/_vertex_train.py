"""`hwnas vertex train`: full training of trials of a search."""

from __future__ import annotations

from hwnas.cli._vertex_flags import (
    Calculator,
    Cloud,
    CloudWorkers,
    Reward,
    Root,
    Space,
    Trainer,
    TrainHardware,
    TrainJob,
)
from hwnas.cli._vertex_programs import measuring_of, space_of, trainer_flags, trainer_of
from hwnas.cli._vertex_progress import VertexProgress
from hwnas.cli._vertex_search import metric_of


def train(
    job: TrainJob,
    space: Space,
    reward: Reward,
    root: Root,
    trainer: Trainer,
    hardware: TrainHardware,
    calculator: Calculator,
    workers: CloudWorkers,
    cloud: Cloud,
) -> None:
    """Train trials of a search in full, and measure them again."""
    from hwnas.vertex import job_index, trial_numbers, vertex_train

    index = job_index(root.root_output_dir)
    numbers = trial_numbers(job.train_nas_trial_numbers)
    vertex_train(
        index,
        index.find(job.search_job_id),
        numbers,
        job.train_job_suffix,
        trainer_of(trainer, cloud, index.root, hardware.train_accelerator_type),
        metric=metric_of(reward),
        search_space=space_of(space) if space.is_given else None,
        flags=trainer_flags(trainer, hardware.train_docker_flags, "--train_docker_flags"),
        measuring=measuring_of(calculator, cloud, index.root, workers.num_cloud_latency_workers),
        watch=VertexProgress,
    )
