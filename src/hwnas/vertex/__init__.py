"""Trainers and latency calculators that were written for Vertex AI NAS."""

from __future__ import annotations

from hwnas.vertex._containers import build_image, image_uri
from hwnas.vertex._ids import JobIndex, NasJob, job_index
from hwnas.vertex._programs import ImageProgram, LocalProgram, Program

__all__ = [
    "ImageProgram",
    "JobIndex",
    "LocalProgram",
    "NasJob",
    "Program",
    "build_image",
    "image_uri",
    "job_index",
]
