"""Numeric job ids, as Vertex has them, resolved on any machine through an index in the store."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hwnas.errors import JobError, UsageError
from hwnas.jobs import Store

ROOT = "HWNAS_STORE"
"""The environment variable that names the root where `--root_output_dir` does not."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RESOURCE = re.compile(r"(?:.*/)?(\d+)")


class NasJob(BaseModel):
    """An entry of the index: `nas_jobs/<id>.json` below the root.

    `folder` is the job's, below the root. `parent` is the search that a train job belongs to, or
    that was resumed. `trials` are its trials that are trained in full, in the order in which those
    of a train job count.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    id: int = Field(ge=1)
    kind: Literal["search", "train"]
    name: str
    folder: str
    parent: int | None = None
    trials: tuple[int, ...] = ()
    created: str = Field(
        default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds")
    )


class JobIndex:
    """The jobs below a root, by number.

    `nas_jobs/<id>.json` is an entry, `nas_jobs/folders/<folder>` says that a folder's name is
    taken. Both are created conditionally: of any number of processes, on any machines, each gets a
    number and a folder of its own.

    Args:
        root: the URL of a store, or a folder.
    """

    def __init__(self, root: str) -> None:
        self.store = Store(root)
        self._entries = self.store.within("nas_jobs")

    @property
    def root(self) -> str:
        """The root's URL."""
        return self.store.url

    def create(
        self,
        kind: Literal["search", "train"],
        name: str,
        parent: int | None = None,
        trials: Sequence[int] = (),
        folder: str | None = None,
    ) -> NasJob:
        """A new job, in a folder `<name>_<YYYYmmdd_HHMMSS>` that no other has, or in one given.

        Raises:
            UsageError: the name cannot be a part of a folder's name.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(f"job name '{name}' may have letters, digits and . _ - only")
        folder = folder or self._new_folder(name)
        for number in itertools.count(max(self.ids(), default=0) + 1):
            job = NasJob(
                id=number, kind=kind, name=name, folder=folder, parent=parent, trials=tuple(trials)
            )
            if self._entries.create(f"{number}.json", job.model_dump_json().encode()):
                return job
        raise AssertionError("there are numbers without end")

    def _new_folder(self, name: str) -> str:
        stamped = f"{name}_{datetime.now(timezone.utc):%Y%m%d_%H%M%S}"
        names = itertools.chain([stamped], (f"{stamped}_{n}" for n in itertools.count(2)))
        return next(one for one in names if self._entries.create(f"folders/{one}", b""))

    def ids(self) -> list[int]:
        """The numbers of all jobs, in order."""
        found = (name.removesuffix(".json") for name in self._entries.names())
        return sorted(int(name) for name in found if name.isdecimal())

    def find(self, job_id: int | str) -> NasJob:
        """The job of a number, or of a resource name that ends in one, as `.../nasJobs/7`.

        Raises:
            UsageError: not a number.
            JobError: there is no such job here.
        """
        number = parse_id(job_id)
        job = self._entries.read(f"{number}.json", NasJob)
        if job is None:
            known = ", ".join(map(str, self.ids()[-10:])) or "none"
            raise JobError(
                f"there is no NAS job {number} in {self.root} (known: {known}); if it lies "
                f"elsewhere, set --root_output_dir or {ROOT} to the root that it was started with"
            )
        return job

    def url(self, job: NasJob) -> str:
        """Where a job's files are."""
        return f"{self.root}/{job.folder}"


def job_index(root: str | None = None) -> JobIndex:
    """The index of a root; by default that of the environment variable HWNAS_STORE.

    Raises:
        UsageError: neither says where.
    """
    where = root or os.environ.get(ROOT)
    if not where:
        raise UsageError(
            "job ids are kept in the store of the jobs: set --root_output_dir or the environment "
            f"variable {ROOT} to the root that the search was started with"
        )
    return JobIndex(where)


def parse_id(job_id: int | str) -> int:
    """The number of a job, or the number that ends a resource name.

    Raises:
        UsageError: neither of them.
    """
    found = _RESOURCE.fullmatch(str(job_id))
    if not found or int(found[1]) < 1:
        raise UsageError(f"'{job_id}' is not a job id: a number from 1, as search prints it")
    return int(found[1])
