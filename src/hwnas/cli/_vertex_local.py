"""`hwnas vertex search_in_local`: one trial, to try a trainer."""

from __future__ import annotations

from hwnas.cli._console import say
from hwnas.cli._vertex_flags import Cloud, LocalRun, Reward, SearchHardware, Space, Trainer
from hwnas.cli._vertex_programs import space_of, trainer_flags, trainer_of


def search_in_local(
    run: LocalRun,
    space: Space,
    reward: Reward,
    trainer: Trainer,
    hardware: SearchHardware,
    cloud: Cloud,
) -> None:
    """Train one random arch of the space, to see that a trainer works; there is no job."""
    from hwnas.vertex import try_trainer

    folder, data = run.folders()
    metrics = try_trainer(
        trainer_of(trainer, cloud, folder.as_uri(), hardware.accelerator_type, data),
        space_of(space),
        folder,
        metric=reward.nas_target_reward_metric or "nas_reward",
        flags=trainer_flags(trainer, hardware.search_docker_flags, "--search_docker_flags"),
        seed=run.seed,
    )
    for name, value in metrics.items():
        say(f"{name} {value:.4g}")
    say(f"its files are in {folder}")
