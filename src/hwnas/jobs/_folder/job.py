"""A job: a place that holds a request, its study and what each trial left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from hwnas._files import write_bytes, write_json
from hwnas._invalid import first_problem
from hwnas.errors import JobError
from hwnas.jobs._folder.hold import Check, JobBusy, leased, locked, shows_life
from hwnas.jobs._folder.life import LifeCycle
from hwnas.jobs._folder.place import Place
from hwnas.jobs._folder.space_record import SPACE, Record, describe_space
from hwnas.jobs._folder.spec import JobSpec
from hwnas.jobs._folder.trial_folder import TrialFolder
from hwnas.jobs._store.store import Store

if TYPE_CHECKING:
    from hwnas.space import SearchSpace
    from hwnas.strategy import StudyStore

T = TypeVar("T")

_REQUEST = "job.json"


class Job:
    """One search: what was asked for, and all that came of it, in a folder or a store.

    ``job.json`` the request; ``space.json`` the decisions; ``study.journal`` (in a store
    ``study/<n>``) the Optuna study; ``state/<n>`` the life cycle; ``trials/<n>/`` what a trial
    left, see `TrialFolder`; ``devices.json`` the speed of the host that latencies refer to;
    ``finalists.json`` the last measurements, by which the winner was chosen.

    Attributes:
        where: the job as a user names it: a folder or a URL.
        folder: what this machine works in; see `Place`.
        store: what all machines see.
    """

    def __init__(self, place: Place, spec: JobSpec) -> None:
        self.place = place
        self.where, self.folder = place.where, place.folder
        self.spec = spec
        self._check: Check | None = None

    @classmethod
    def create(cls, where: Path | str, spec: JobSpec, space: SearchSpace) -> Job:
        """A new job.

        Raises:
            JobError: there is a job already, or it cannot be written.
            StoreError: the store cannot be written.
        """
        place = Place.of(where)
        job = cls(place, spec)
        there = JobError(f"{place.where} holds a job already; add --resume to go on with it")
        if place.url is None and place.folder.is_file():
            raise JobError(f"{place.folder} is a file, not a folder")
        if cls.exists(where):
            raise there
        try:
            job.write(SPACE, describe_space(space))
            if place.url is None:
                write_bytes(place.folder / _REQUEST, spec.to_json())
            elif not place.store.create(_REQUEST, spec.to_json()):
                raise there
        except OSError as error:
            raise JobError(f"cannot write {place.where}: {error.strerror}") from error
        job.life.turn("created")
        return job

    @classmethod
    def exists(cls, where: Path | str) -> bool:
        """Whether there is a job.

        Raises:
            StoreError: the store cannot be read.
        """
        return _request(Place.of(where)) is not None

    @staticmethod
    def name_at(where: Path | str) -> str:
        """What a job there is called: the last part."""
        return Place.of(where).name

    @classmethod
    def open(cls, where: Path | str) -> Job:
        """The job in a folder or a store.

        Raises:
            JobError: there is none, or it cannot be read.
            StoreError: the store cannot be read.
        """
        place = Place.of(where)
        data = _request(place)
        if data is None:
            raise JobError(f"{place.where} is not a job: {_what_is_there(place)}")
        return cls(place, JobSpec.parse(data, f"{place.where}/{_REQUEST}"))

    @property
    def store(self) -> Store:
        """What all machines see."""
        return self.place.store

    @property
    def address(self) -> str:
        """What names the job from every folder: its own as an absolute path, or the URL."""
        return self.place.url or str(self.folder.resolve())

    def ask_for(self, **wanted: Any) -> None:
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
            self._put(_REQUEST, self.spec.to_json())

    def study_store(self) -> StudyStore:
        """The storage of the study: the journal of the job unless the request names another."""
        from hwnas.strategy import StudyStore

        if self.spec.storage is not None:
            return StudyStore(self.spec.storage, self.spec.name)
        if self.place.url is None:
            return StudyStore(str(self.folder / "study.journal"), self.spec.name)
        from hwnas.jobs._folder.journal import StoreJournal

        return StudyStore(StoreJournal(self.store.within("study")), self.spec.name)

    def trial(self, number: int) -> TrialFolder:
        """A trial's files."""
        name = f"trials/{number}"
        url = self.place.url
        return TrialFolder(self.folder / name, None if url is None else f"{url}/{name}")

    @property
    def life(self) -> LifeCycle:
        """The states that the job has been in."""
        return LifeCycle(self.store)

    def space_record(self) -> Record | None:
        """The decisions of the space that the job was started with; None in older jobs."""
        return self.read(SPACE, Record)

    def write(self, name: str, value: Any) -> None:
        """Write a JSON file of the job, for all to see.

        Raises:
            JobError: this process ran the job, and another has taken over.
            StoreError: the store cannot be written.
        """
        self.check()
        write_json(self.folder / name, value)
        if self.place.url is not None:
            self.store.put(name, self.folder / name)

    def read(self, name: str, kind: type[T]) -> T | None:
        """A JSON file of the job as a `kind`, or None where it does not exist (yet).

        Raises:
            JobError: the file is damaged.
            StoreError: the store cannot be read, or the object is damaged.
        """
        if self.place.url is not None:
            return self.store.read(name, kind)
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
        try:
            with self.running():
                self.life.turn("cancelled")
        except JobBusy:
            self.life.turn("stopping", "cancelled")
            return True
        return False

    def is_running(self) -> bool:
        """Whether a coordinator holds the job now; for a job in a store this may take seconds."""
        if self._check is not None:
            return True
        if self.place.url is not None:
            return shows_life(self.store)
        try:
            with self.running():
                return False
        except JobBusy:
            return True

    def check(self) -> None:
        """To be called before anything is written that others see.

        Raises:
            JobError: this process ran the job, and another has taken over.
        """
        if self._check is not None:
            self._check()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold the job: two coordinators of one job would train trials twice.

        Raises:
            JobError: another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        holding = locked(self.folder) if self.place.url is None else leased(self.store)
        with holding as self._check:
            try:
                yield
            finally:
                self._check = None

    def _put(self, name: str, data: bytes) -> None:
        self.check()
        if self.place.url is None:
            write_bytes(self.folder / name, data)
        else:
            self.store.put(name, data)


def _request(place: Place) -> bytes | None:
    if place.url is not None:
        return place.store.get(_REQUEST)
    try:
        return (place.folder / _REQUEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _what_is_there(place: Place) -> str:
    if place.url is None and not place.folder.is_dir():
        return "it is a file" if place.folder.is_file() else "there is no such folder"
    return f"it has no {_REQUEST}"
