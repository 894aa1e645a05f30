"""Opening the Optuna study of a search."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

import optuna
from optuna.storages import BaseStorage, JournalStorage

from hwnas.errors import HwnasError, JobError, UsageError, describe
from hwnas.strategy._journal import FileJournal, Journal
from hwnas.strategy._patient import PatientStorage
from hwnas.strategy._writer import SoleWriter

Direction = Literal["max", "min"]
_DIRECTIONS = {
    "max": optuna.study.StudyDirection.MAXIMIZE,
    "min": optuna.study.StudyDirection.MINIMIZE,
}


class StudyStore:
    """A study and the storage it lives in: a journal, the path of one, or an Optuna storage URL.

    `env:NAME` stands for the URL in an environment variable, so that a password need not be on a
    command line or in a file.

    Only one process may write. `transaction()` groups writes where the storage can.
    """

    def __init__(self, location: str | Journal, name: str) -> None:
        self.name = name
        self._journal: Journal | None = None
        self._writer: SoleWriter | None = None
        if isinstance(location, Journal):
            self.location = location.location
            self._storage = self._reading(location)
        else:
            self.location = location
            self._storage = self._open(_resolved(location))

    def _open(self, url: str) -> BaseStorage:
        if "://" in url:
            name = _safe(url)
            try:
                return PatientStorage(url, name)
            except HwnasError:
                raise
            except ModuleNotFoundError as error:
                extra = "; pip install 'hwnas[postgresql]'" * url.startswith("postgresql")
                raise JobError(f"cannot open the storage {name}: {error}{extra}") from error
            except Exception as error:
                reason = str(error).splitlines()[0]
                raise JobError(f"cannot open the storage {name}: {_safe(reason)}") from error
        path = Path(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        return self._reading(FileJournal(path))

    def _reading(self, journal: Journal) -> BaseStorage:
        self._journal = journal
        try:
            return JournalStorage(journal)  # reads all of it
        except (ValueError, KeyError, TypeError) as error:
            raise JobError(f"{journal.location} is damaged: {describe(error)}") from error

    def create(self, directions: Sequence[Direction]) -> optuna.Study:
        """The study, made if the storage has none of this name."""
        if self._journal is not None:
            self._journal.claim()
        elif isinstance(self._storage, PatientStorage):
            self._storage = self._writer = SoleWriter(self._storage)
        return optuna.create_study(
            storage=self._storage,
            study_name=self.name,
            directions=[_DIRECTIONS[d] for d in directions],
            load_if_exists=True,
        )

    def load(self) -> optuna.Study:
        """The study, to read.

        Raises:
            JobError: the storage has no study of this name.
        """
        try:
            return optuna.load_study(storage=self._storage, study_name=self.name)
        except KeyError as error:
            raise JobError(f"{_safe(self.location)} holds no study '{self.name}'") from error

    def transaction(self) -> AbstractContextManager[None]:
        """What is written inside reaches the disk together."""
        writer = self._journal or self._writer
        return writer.transaction() if writer else nullcontext()


def check_storage(location: str) -> None:
    """Refuse a storage URL that shows a password.

    Raises:
        UsageError: it does.
    """
    if _safe(location) != location:
        raise UsageError(
            f"{_safe(location)} has a password in it, which would be kept in the job's folder: put "
            "the URL into an environment variable, and give env:NAME"
        )


def _resolved(location: str) -> str:
    name = location.removeprefix("env:")
    if name == location:
        return location
    if not os.environ.get(name):
        raise UsageError(f"the storage is env:{name}, but there is no such environment variable")
    return os.environ[name]


def _safe(location: str) -> str:
    """A storage URL without its password."""
    shown = re.sub(r"(://[^/@:]*):[^/]*@", r"\1:...@", location)
    return re.sub(r"(?i)([?&]password=)[^&]*", r"\1...", shown)
