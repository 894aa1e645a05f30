"""From flags of Vertex's client to the programs that they name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.cli._vertex_flags import Accelerator, Calculator, Cloud, Space, Target, Trainer, Words
from hwnas.errors import UsageError

if TYPE_CHECKING:
    from hwnas.vertex import AnyProgram, Measuring


def trainer_of(
    trainer: Trainer,
    cloud: Cloud,
    root: str,
    accelerator: Accelerator,
    folders: Sequence[Path] = (),
) -> AnyProgram:
    """The trainer, as an image or as a plain process. Images get `folders`, under their own paths.

    Raises:
        UsageError: neither is named, or both.
    """
    from hwnas.vertex import ImageProgram, LocalProgram, image_uri

    if trainer.run_local_binary:
        if not trainer.local_binary:
            raise UsageError("--run_local_binary true: name the program: --local_binary trainer.py")
        return LocalProgram(trainer.local_binary)
    if trainer.local_binary:
        raise UsageError("--local_binary goes with --run_local_binary true")
    if not trainer.trainer_docker_id:
        raise UsageError(
            "which trainer? Give --trainer_docker_id IMAGE, or "
            "--run_local_binary true --local_binary trainer.py"
        )
    uri = image_uri(trainer.trainer_docker_id, cloud.project_id, cloud.region.value)
    mounts = {folder: str(folder) for folder in folders}
    return ImageProgram(uri, root, mounts, gpus=accelerator is not Accelerator.none)


def trainer_flags(trainer: Trainer, words: Words, option: str) -> dict[str, str]:
    """The flags of a trainer; those of a plain process come last."""
    from hwnas.vertex import pass_through

    flags = pass_through(filter(None, words or []), option)
    local = pass_through(filter(None, trainer.local_binary_flags or []), "--local_binary_flags")
    return {**flags, **(local if trainer.run_local_binary else {})}


def calculator_of(
    calculator: Calculator,
    cloud: Cloud,
    root: str,
    *,
    ready: bool = False,
    output: Path | None = None,
) -> AnyProgram | None:
    """The latency calculator; None if none is named. `ready`: then hwnas's own.

    `output` is a folder that a container gets under its own path.

    Raises:
        UsageError: several are named.
    """
    from hwnas.vertex import ImageProgram, LocalProgram, ModuleProgram, image_uri

    named = {
        "--latency_calculator_docker_id": bool(calculator.latency_calculator_docker_id),
        "--latency_calculator_local_binary": bool(calculator.latency_calculator_local_binary),
        "--use_prebuilt_latency_calculator": bool(calculator.use_prebuilt_latency_calculator),
    }
    given = [name for name, is_given in named.items() if is_given]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)}: give one of them")
    if calculator.latency_calculator_local_binary:
        return LocalProgram(calculator.latency_calculator_local_binary)
    if calculator.latency_calculator_docker_id:
        uri = image_uri(
            calculator.latency_calculator_docker_id, cloud.project_id, cloud.region.value
        )
        mounts = {} if output is None else {output: str(output)}
        return ImageProgram(uri, root, mounts, gpus=calculator.target_device_type is not Target.cpu)
    if ready or calculator.use_prebuilt_latency_calculator:
        return ModuleProgram("hwnas.vertex.ready_calculator")
    return None


def calculator_words(calculator: Calculator, cloud: Cloud) -> dict[str, str]:
    """The flags of a latency calculator, beside those that tell it its job."""
    from hwnas.vertex import pass_through

    own = {"project_id": cloud.project_id, "service_endpoint": cloud.service_endpoint}
    words = filter(None, calculator.latency_docker_flags or [])
    return {**own, **pass_through(words, "--latency_docker_flags")}


def measuring_of(calculator: Calculator, cloud: Cloud, root: str, workers: int) -> Measuring | None:
    """The latency calculators that a job starts; None if it needs none."""
    from hwnas.vertex import Measuring

    program = calculator_of(calculator, cloud, root)
    if program is None:
        if calculator.latency_docker_flags:
            raise UsageError("--latency_docker_flags: there is no latency calculator to take them")
        return None
    return Measuring(program=program, flags=calculator_words(calculator, cloud), count=workers)


def space_of(space: Space) -> str:
    """The function that gives the space, as package.module.function.

    Raises:
        UsageError: none is named, or one of Google's.
    """
    if space.use_prebuilt_trainer or space.prebuilt_search_space:
        raise UsageError(
            "Google's ready trainers and spaces are not part of hwnas: bring the trainer along "
            "(--trainer_docker_id or --local_binary) and name its space (--search_space_module)"
        )
    if not space.search_space_module:
        raise UsageError("which space? Give --search_space_module package.module.function")
    return space.search_space_module
