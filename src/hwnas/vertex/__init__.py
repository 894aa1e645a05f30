"""Trainers and latency calculators that were written for Vertex AI NAS.

`hwnas.vertex.cloud_nas_utils`, `metrics_reporter`, `model_metrics_evaluator`, `gcs_utils`,
`gcs_path_utils` and `tf_utils` are what such programs import, under the original's names. They do
not import PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hwnas.vertex._containers import build_image, image_uri
from hwnas.vertex._ids import JobIndex, NasJob, job_index
from hwnas.vertex._programs import ImageProgram, LocalProgram, Program

if TYPE_CHECKING:
    from hwnas.vertex._jobs import run_vertex_search as run_vertex_search
    from hwnas.vertex._jobs import run_vertex_train as run_vertex_train
    from hwnas.vertex._spaces import VertexSpace as VertexSpace

__all__ = [
    "ImageProgram",
    "JobIndex",
    "LocalProgram",
    "NasJob",
    "Program",
    "VertexSpace",
    "build_image",
    "image_uri",
    "job_index",
    "run_vertex_search",
    "run_vertex_train",
]

_LAZY = {
    "VertexSpace": "_spaces",
    "run_vertex_search": "_jobs",
    "run_vertex_train": "_jobs",
}


def __getattr__(name: str) -> Any:
    # These import PyTorch, which is not where trainers of another framework run.
    if name in _LAZY:
        return getattr(importlib.import_module(f"hwnas.vertex.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
