"""Search jobs: a folder, a study, processes that train, and what they found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.jobs._job import Job
from hwnas.jobs._observer import Observer
from hwnas.jobs._records import Failure, JobView, TrialRecord
from hwnas.jobs._spec import DeviceSpec, JobSpec, Objective, SpaceInfo

if TYPE_CHECKING:
    from hwnas.jobs._run import run_search as run_search
    from hwnas.jobs._view import read_job as read_job

__all__ = [
    "DeviceSpec",
    "Failure",
    "Job",
    "JobSpec",
    "JobView",
    "Objective",
    "Observer",
    "SpaceInfo",
    "TrialRecord",
    "read_job",
    "run_search",
]


def __getattr__(name: str) -> Any:
    # These two import Optuna; reading the names above should not.
    if name == "read_job":
        from hwnas.jobs._view import read_job

        return read_job
    if name == "run_search":
        from hwnas.jobs._run import run_search

        return run_search
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
