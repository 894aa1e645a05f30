"""A job: a folder that holds a request, its study and what each trial left."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from hwnas._files import write_json
from hwnas.errors import JobError
from hwnas.jobs._life import LifeCycle
from hwnas.jobs._spec import JobSpec, first_problem
from hwnas.jobs._store.store import Store
from hwnas.jobs._trial_folder import TrialFolder

if TYPE_CHECKING:
    from hwnas.strategy import StudyStore

T = TypeVar("T")


class Job:
    """The folder of one search.

    ``job.json`` the request; ``study.journal`` the Optuna study; ``trials/<n>/`` with
    ``metrics.jsonl``, ``log.txt``, ``model.safetensors``, ``result.json``, ``model.onnx``,
    ``measurements.json``; ``devices.json`` the speed of the host that latencies refer to;
    ``finalists.json`` the last measurements, by which the winner was chosen.
    """

    def __init__(self, folder: Path, spec: JobSpec) -> None:
        self.folder = folder
        self.spec = spec

    @classmethod
    def create(cls, folder: Path, spec: JobSpec) -> Job:
        """A new job.

        Raises:
            JobError: the folder holds a job already, or cannot be written.
        """
        path = folder / "job.json"
        if folder.is_file():
            raise JobError(f"{folder} is a file, not a folder")
        if path.exists():
            raise JobError(f"{folder} holds a job already; add --resume to go on with it")
        try:
            spec.write(path)
        except OSError as error:
            raise JobError(f"cannot write {path}: {error.strerror}") from error
        job = cls(folder, spec)
        job.life.turn("created")
        return job

    @classmethod
    def open(cls, folder: Path | str) -> Job:
        """The job in a folder.

        Raises:
            JobError: there is none, or it cannot be read.
        """
        folder = Path(folder)
        return cls(folder, JobSpec.read(folder / "job.json"))

    def ask_for(self, **wanted: float | str | None) -> None:
        """Change what was asked for (`trials`, `parallel` ...); None leaves it as it was.

        Raises:
            JobError: the job is being run, or a number makes no sense.
        """
        changes = {name: value for name, value in wanted.items() if value is not None}
        if not changes:
            return
        with self.running():
            try:
                self.spec = JobSpec.model_validate({**self.spec.model_dump(), **changes})
            except ValidationError as error:
                raise JobError(first_problem(error)) from error
            self.spec.write(self.folder / "job.json")

    def study_store(self) -> StudyStore:
        """The storage of the study: the journal in the folder unless the request names another."""
        from hwnas.strategy import StudyStore

        return StudyStore(self.spec.storage or str(self.folder / "study.journal"), self.spec.name)

    @cached_property
    def store(self) -> Store:
        """What other machines see of the job."""
        return Store(self.folder)

    def trial(self, number: int) -> TrialFolder:
        """A trial's files."""
        return TrialFolder(self.folder / "trials" / str(number))

    @property
    def life(self) -> LifeCycle:
        """The states that the job has been in."""
        return LifeCycle(self.store)

    def write(self, name: str, value: Any) -> None:
        """Write a JSON file of the job, for all to see."""
        write_json(self.folder / name, value)

    def read(self, name: str, kind: type[T]) -> T | None:
        """A JSON file of the job as a `kind`, or None where it does not exist (yet).

        Raises:
            JobError: the file is damaged.
        """
        path = self.folder / name
        try:
            return TypeAdapter(kind).validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise JobError(f"{path} is damaged: {first_problem(error)}; remove it") from error

    def cancel(self) -> bool:
        """Ask the search to stop, softly; whether one runs that will.

        Where none runs the job is cancelled at once, so that its workers end.

        Raises:
            JobError: the job has ended.
        """
        if self.is_running():
            self.life.turn("stopping", "cancelled")
            return True
        self.life.turn("cancelled")
        return False

    def is_running(self) -> bool:
        """Whether a coordinator holds the job now."""
        try:
            with self.running():
                return False
        except JobError:
            return True

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold the job: two coordinators of one job would train trials twice.

        Raises:
            JobError: another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                pid = os.read(handle, 20).decode() or "unknown"
                raise JobError(f"{self.folder} is being run by process {pid}") from error
            os.ftruncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
            yield
        finally:
            os.close(handle)
