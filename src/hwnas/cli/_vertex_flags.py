"""The flags of Vertex's client, in groups that several of its commands share."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

from hwnas.cli._vertex_client import Truth, flag, inert

_NUMBER = "N"


class Region(str, Enum):
    """The regions that Vertex's client knows."""

    asia_east1 = "asia-east1"
    asia_southeast1 = "asia-southeast1"
    europe_west1 = "europe-west1"
    europe_west4 = "europe-west4"
    us_central1 = "us-central1"
    us_east1 = "us-east1"
    us_east4 = "us-east4"
    us_west1 = "us-west1"


class Accelerator(str, Enum):
    """What trains. Here it only says whether a container gets the GPUs of the host."""

    none = ""
    a100 = "NVIDIA_TESLA_A100"
    k80 = "NVIDIA_TESLA_K80"
    p100 = "NVIDIA_TESLA_P100"
    p4 = "NVIDIA_TESLA_P4"
    t4 = "NVIDIA_TESLA_T4"
    v100 = "NVIDIA_TESLA_V100"


class Target(str, Enum):
    """What latencies are of. Here it only says whether a container gets the GPUs of the host."""

    cpu = "CPU"
    a100 = "NVIDIA_TESLA_A100"
    k80 = "NVIDIA_TESLA_K80"
    p100 = "NVIDIA_TESLA_P100"
    p4 = "NVIDIA_TESLA_P4"
    t4 = "NVIDIA_TESLA_T4"
    v100 = "NVIDIA_TESLA_V100"


Words = list[str] | None


@dataclass(frozen=True)
class Cloud:
    """Where the cloud is; of use only for the names of images."""

    project_id: Annotated[
        str, flag("For the names of images: REGION-docker.pkg.dev/PROJECT/nas/ID:latest.")
    ] = ""
    region: Annotated[Region, flag("For the names of images.", metavar="NAME")] = Region.us_central1
    service_endpoint: Annotated[str, inert("Of the cloud.")] = "PROD"
    service_account: Annotated[str, inert("Of the cloud.")] = ""


@dataclass(frozen=True)
class Root:
    """Where jobs are."""

    root_output_dir: Annotated[
        str | None,
        flag(
            "The root of all jobs: a folder, or gs://, s3:// or az://; by default the "
            "environment variable HWNAS_STORE.",
            metavar="URL",
        ),
    ] = None


@dataclass(frozen=True)
class Trainer:
    """What trains a trial."""

    trainer_docker_id: Annotated[
        str,
        flag("The image; its full name, or an ID that hwnas vertex build gave it.", metavar="ID"),
    ] = ""
    run_local_binary: Annotated[
        Truth, flag("Run the trainer as a plain process of this host.", case_sensitive=False)
    ] = Truth.false
    local_binary: Annotated[
        str, flag("That program: a Python file, or anything that can be executed.", metavar="FILE")
    ] = ""
    local_binary_flags: Annotated[
        Words, flag("For --local_binary alone.", metavar="NAME=VALUE ...")
    ] = None


@dataclass(frozen=True)
class Space:
    """What is searched."""

    search_space_module: Annotated[
        str,
        flag(
            "A function without parameters that returns a PyGlove value.",
            metavar="PACKAGE.MODULE.FUNCTION",
        ),
    ] = ""
    prebuilt_search_space: Annotated[str, flag("Google's; not part of hwnas.")] = ""
    use_prebuilt_trainer: Annotated[
        Truth, flag("Google's; not part of hwnas.", case_sensitive=False)
    ] = Truth.false

    @property
    def is_given(self) -> bool:
        """Whether any space is named."""
        named = self.search_space_module or self.prebuilt_search_space
        return bool(named or self.use_prebuilt_trainer)


@dataclass(frozen=True)
class Reward:
    """What a search maximises."""

    nas_target_reward_metric: Annotated[
        str, flag("The metric that trials report, to be maximised.", metavar="NAME")
    ] = ""


@dataclass(frozen=True)
class Trials:
    """How many trials."""

    job_name: Annotated[str, flag("The first part of the name of the job's folder.")]
    max_nas_trial: Annotated[int, flag("Trials in all.", min=1, metavar=_NUMBER)] = 5
    max_parallel_nas_trial: Annotated[
        int, flag("Trials at the same time.", min=1, metavar=_NUMBER)
    ] = 5
    max_failed_nas_trial: Annotated[
        int,
        flag("The job fails when more trials fail; 0 is a third.", min=0, metavar=_NUMBER),
    ] = 5

    @property
    def most_failed(self) -> int:
        """How many trials may fail."""
        return self.max_failed_nas_trial or max(3, self.max_nas_trial // 3)

    train_max_parallel_trial: Annotated[
        int, flag("Trials that are trained in full at a time.", min=1, metavar=_NUMBER)
    ] = 5
    train_frequency: Annotated[
        int,
        flag(
            "With --train_docker_flags: after so many trials the best ones are trained in full.",
            min=1,
            metavar=_NUMBER,
        ),
    ] = 1000


@dataclass(frozen=True)
class Strategy:
    """What Vertex's client does not have."""

    strategy: Annotated[
        str, flag("random, evolution, tpe, nsga2 or gp; not in Vertex's client.")
    ] = "evolution"
    seed: Annotated[
        int, flag("Decides the archs; not in Vertex's client.", min=0, metavar=_NUMBER)
    ] = 0


@dataclass(frozen=True)
class SearchHardware:
    """What a trial has."""

    search_docker_flags: Annotated[
        Words, flag("Flags of the trainer.", metavar="NAME=VALUE ...")
    ] = None
    accelerator_type: Annotated[
        Accelerator, flag('"" keeps GPUs from a container.', metavar="NAME")
    ] = Accelerator.v100
    num_gpus: Annotated[int, inert("Of a machine.", min=0, metavar=_NUMBER)] = 2
    master_machine_type: Annotated[str, inert("Of a machine.")] = "n1-highmem-16"
    num_mirror_machines: Annotated[int, inert("Machines of a trial.", min=1, metavar=_NUMBER)] = 1


@dataclass(frozen=True)
class TrainHardware:
    """What a trial of full training has."""

    train_docker_flags: Annotated[
        Words, flag("Flags of the trainer in full training.", metavar="NAME=VALUE ...")
    ] = None
    train_accelerator_type: Annotated[
        Accelerator, flag('"" keeps GPUs from a container.', metavar="NAME")
    ] = Accelerator.v100
    train_num_gpus: Annotated[int, inert("Of a machine.", min=0, metavar=_NUMBER)] = 2
    train_master_machine_type: Annotated[str, inert("Of a machine.")] = "n1-highmem-16"
    train_num_mirror_machines: Annotated[
        int, inert("Machines of a trial.", min=1, metavar=_NUMBER)
    ] = 1


@dataclass(frozen=True)
class Calculator:
    """What measures trained models."""

    latency_calculator_docker_id: Annotated[
        str, flag("Its image; as --trainer_docker_id.", metavar="ID")
    ] = ""
    latency_calculator_local_binary: Annotated[
        str,
        flag(
            "Its program, run as a plain process; not in Vertex's client.",
            metavar="FILE",
        ),
    ] = ""
    use_prebuilt_latency_calculator: Annotated[
        Truth, flag("Measure ONNX and SavedModel as hwnas does.", case_sensitive=False)
    ] = Truth.false
    latency_docker_flags: Annotated[
        Words, flag("Flags of the calculator.", metavar="NAME=VALUE ...")
    ] = None
    target_device_type: Annotated[
        Target, flag("CPU keeps GPUs from a container.", metavar="NAME")
    ] = Target.v100
    prebuilt_num_repetitions_for_latency_computation: Annotated[
        int, inert("hwnas measures until the interval is narrow.", min=1, metavar=_NUMBER)
    ] = 100
    prebuilt_latency_image_width: Annotated[
        int, inert("A model knows its input.", min=1, metavar=_NUMBER)
    ] = 512
    prebuilt_latency_image_height: Annotated[
        int, inert("A model knows its input.", min=1, metavar=_NUMBER)
    ] = 512
    prebuilt_latency_input_node: Annotated[str, inert("A model knows its input.")] = "Placeholder:0"
    prebuilt_latency_output_nodes: Annotated[str, inert("A model knows its outputs.")] = (
        "DetectionBoxes:0,DetectionClasses:0,DetectionScores:0"
    )
    prebuilt_latency_tensorrt_conversion_on_gpu: Annotated[
        Truth, inert("Of Google's calculator.", case_sensitive=False)
    ] = Truth.true


@dataclass(frozen=True)
class Build:
    """Which images are built, of which files."""

    trainer_docker_id: Annotated[str, flag("The trainer's image.", metavar="ID")] = ""
    trainer_docker_file: Annotated[Path, flag("Its docker file.", metavar="FILE")] = Path(
        "tf_vision/nas_multi_trial.Dockerfile"
    )
    latency_calculator_docker_id: Annotated[
        str, flag("The latency calculator's image.", metavar="ID")
    ] = ""
    latency_calculator_docker_file: Annotated[Path, flag("Its docker file.", metavar="FILE")] = (
        Path("tf_vision/latency_computation_using_saved_model.Dockerfile")
    )
    use_cache: Annotated[Truth, flag("false builds all layers again.", case_sensitive=False)] = (
        Truth.true
    )


@dataclass(frozen=True)
class CloudWorkers:
    """How many calculators a job starts."""

    num_cloud_latency_workers: Annotated[
        int, flag("Calculators that are started and divide the trials.", min=1, metavar=_NUMBER)
    ] = 1


@dataclass(frozen=True)
class TrainJob:
    """What is trained in full."""

    search_job_id: Annotated[int, flag("The search.", min=1, metavar="ID")]
    train_job_suffix: Annotated[str, flag("The last part of the job's name.")]
    train_nas_trial_numbers: Annotated[
        str, flag("Its trials, as list_trials tells them, each once.", metavar="N,N,...")
    ]
    search_job_region: Annotated[str, inert("Of the cloud.")] = ""


@dataclass(frozen=True)
class Previous:
    """What is gone on with."""

    previous_nas_job_id: Annotated[int, flag("The search.", min=1, metavar="ID")]
    previous_latency_job_id: Annotated[
        str, inert("Calculators start and stop with the search.")
    ] = ""


@dataclass(frozen=True)
class LocalRun:
    """Where a trial without a job reads and writes."""

    local_data_dir: Annotated[
        str, flag("A folder that a container gets, under its own path.", metavar="FOLDER")
    ] = ""
    local_output_dir: Annotated[
        str, flag("For the trial's files; by default a new one.", metavar="FOLDER")
    ] = ""
    latency_calculator_docker_id: Annotated[str, inert("Nothing is measured here.")] = ""
    seed: Annotated[
        int, flag("Decides the arch; not in Vertex's client.", min=0, metavar=_NUMBER)
    ] = 0

    def folders(self) -> tuple[Path, list[Path]]:
        """The output folder, and folders to read."""
        out = self.local_output_dir or tempfile.mkdtemp(prefix="hwnas-trial-")
        data = [Path(self.local_data_dir).absolute()] if self.local_data_dir else []
        return Path(out).absolute(), data


@dataclass(frozen=True)
class Listing:
    """Which trials are listed."""

    job_id: Annotated[int, flag("The job.", min=1, metavar="ID")]
    max_trials: Annotated[int, flag("At most so many; 0 for all.", min=0, metavar=_NUMBER)] = 20
    trials_output_file: Annotated[Path | None, flag("By default the terminal.", metavar="FILE")] = (
        None
    )


@dataclass(frozen=True)
class LocalWorker:
    """A calculator of this machine."""

    search_job_id: Annotated[
        int | None, flag("The job, of search or of train.", min=1, metavar="ID")
    ] = None
    latency_worker_id: Annotated[int, flag("Its number, from 0.", metavar=_NUMBER)] = 0
    num_latency_workers: Annotated[
        int, flag("How many divide the trials: trial % n == number.", metavar=_NUMBER)
    ] = 1
    local_output_dir: Annotated[
        str | None, flag("A folder that a container gets, too.", metavar="FOLDER")
    ] = None
    prebuilt_trainer_model: Annotated[str, inert("Of Google's ready trainers.")] = ""
