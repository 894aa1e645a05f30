"""Trainers and latency calculators that were written for Vertex AI NAS.

`hwnas.vertex.cloud_nas_utils`, `metrics_reporter`, `model_metrics_evaluator`, `gcs_utils`,
`gcs_path_utils` and `tf_utils` are what such programs import, under the original's names. They do
not import PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hwnas.vertex._containers import build_image, image_uri
from hwnas.vertex._flags import check_worker, pass_through, trial_numbers
from hwnas.vertex._ids import JobIndex, NasJob, job_index
from hwnas.vertex._programs import ImageProgram, LocalProgram, ModuleProgram, Program

if TYPE_CHECKING:
    from hwnas.vertex._client import calculator_flags as calculator_flags
    from hwnas.vertex._client import vertex_resume as vertex_resume
    from hwnas.vertex._client import vertex_search as vertex_search
    from hwnas.vertex._client import vertex_train as vertex_train
    from hwnas.vertex._client import view_of_job as view_of_job
    from hwnas.vertex._jobs import run_vertex_search as run_vertex_search
    from hwnas.vertex._jobs import run_vertex_train as run_vertex_train
    from hwnas.vertex._local import try_trainer as try_trainer
    from hwnas.vertex._request import AnyProgram as AnyProgram
    from hwnas.vertex._request import FullTraining as FullTraining
    from hwnas.vertex._request import Measuring as Measuring
    from hwnas.vertex._request import SearchRequest as SearchRequest
    from hwnas.vertex._rows import trial_id as trial_id
    from hwnas.vertex._rows import trial_rows as trial_rows
    from hwnas.vertex._spaces import VertexSpace as VertexSpace
    from hwnas.vertex.cloud_nas_utils import compute_reward as compute_reward
    from hwnas.vertex.cloud_nas_utils import (
        get_job_dir_from_environment_if_exist as get_job_dir_from_environment_if_exist,
    )
    from hwnas.vertex.cloud_nas_utils import (
        parse_and_save_nas_params_str as parse_and_save_nas_params_str,
    )
    from hwnas.vertex.cloud_nas_utils import wait_and_retrieve_latency as wait_and_retrieve_latency
    from hwnas.vertex.metrics_reporter import NasMetricsReporter as NasMetricsReporter
    from hwnas.vertex.model_metrics_evaluator import ModelMetricsEvaluator as ModelMetricsEvaluator

__all__ = [
    "AnyProgram",
    "FullTraining",
    "ImageProgram",
    "JobIndex",
    "LocalProgram",
    "Measuring",
    "ModelMetricsEvaluator",
    "ModuleProgram",
    "NasJob",
    "NasMetricsReporter",
    "Program",
    "SearchRequest",
    "VertexSpace",
    "build_image",
    "calculator_flags",
    "check_worker",
    "compute_reward",
    "get_job_dir_from_environment_if_exist",
    "image_uri",
    "job_index",
    "parse_and_save_nas_params_str",
    "pass_through",
    "run_vertex_search",
    "run_vertex_train",
    "trial_id",
    "trial_numbers",
    "trial_rows",
    "try_trainer",
    "vertex_resume",
    "vertex_search",
    "vertex_train",
    "view_of_job",
    "wait_and_retrieve_latency",
]

_LAZY = {
    "AnyProgram": "_request",
    "FullTraining": "_request",
    "Measuring": "_request",
    "ModelMetricsEvaluator": "model_metrics_evaluator",
    "NasMetricsReporter": "metrics_reporter",
    "SearchRequest": "_request",
    "VertexSpace": "_spaces",
    "calculator_flags": "_client",
    "compute_reward": "cloud_nas_utils",
    "get_job_dir_from_environment_if_exist": "cloud_nas_utils",
    "parse_and_save_nas_params_str": "cloud_nas_utils",
    "run_vertex_search": "_jobs",
    "run_vertex_train": "_jobs",
    "trial_id": "_rows",
    "trial_rows": "_rows",
    "try_trainer": "_local",
    "vertex_resume": "_client",
    "vertex_search": "_client",
    "vertex_train": "_client",
    "view_of_job": "_client",
    "wait_and_retrieve_latency": "cloud_nas_utils",
}


def __getattr__(name: str) -> Any:
    # These import PyTorch, which is not where trainers of another framework run.
    if name in _LAZY:
        return getattr(importlib.import_module(f"hwnas.vertex.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
