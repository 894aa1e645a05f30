"""Optuna's journals with what a search needs of them: groups of entries, and one writer."""

from __future__ import annotations

import fcntl
import json
import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock


class _FlockLock(BaseJournalFileLock):
    """A re-entrant lock that the system drops with its holder; Optuna's default stalls 30 s after
    a kill."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1
        self._depth = 0

    def acquire(self) -> bool:
        """Wait for the lock."""
        if self._depth == 0:
            handle = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o644)
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._handle = handle
        self._depth += 1
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._depth -= 1
        if self._depth == 0:
            os.close(self._handle)


class Journal(BaseJournalBackend):
    """A journal whose writer can group entries, so that they are kept together.

    A member gives `read`, `append`, `held` and `claim`. Only one process writes; it calls `claim`
    first. Others read whenever they like.
    """

    location: str
    """What to call it in messages."""

    def __init__(self) -> None:
        self._pending: list[dict[str, Any]] | None = None
        self._start: int | None = None

    @abstractmethod
    def read(self, start: int) -> Iterable[dict[str, Any]]:
        """The entries that are kept, from number `start` on."""

    @abstractmethod
    def append(self, entries: list[dict[str, Any]]) -> None:
        """Keep entries after those that are there: all of them, and in order, or an error."""

    @abstractmethod
    def held(self) -> AbstractContextManager[None]:
        """Nobody else changes the journal meanwhile; re-entrant."""

    @abstractmethod
    def claim(self) -> None:
        """Become the writer; what a writer before left in part is mended."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold back the entries of the block and append them together at its end.

        For one thread. Nothing is appended where the block raises before its first entry; entries
        made before an error are kept, because Optuna has applied them in memory.
        """
        with self.held():
            self._pending, self._start = [], None
            try:
                yield
            finally:
                pending, self._pending = self._pending, None
                if pending:
                    self.append(pending)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The entries from a number on, those of an open transaction included."""
        if self._pending is None:
            yield from self.read(log_number_from)
            return
        if self._start is None:
            start = log_number_from
            for entry in self.read(log_number_from):
                start += 1
                yield entry
            log_number_from = self._start = start
        yield from self._pending[log_number_from - self._start :]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append entries, or keep them until the transaction ends."""
        if self._pending is None:
            self.append(logs)
        else:
            # The same round trip through JSON that the journal would give.
            self._pending.extend(json.loads(json.dumps(logs)))


class FileJournal(Journal):
    """A journal in a file: one append and one fsync per group.

    A kill or a full disk in the middle of an append leaves part of a line. Claiming the journal
    cuts such a torn tail, so what was written before it stays readable. After it a group may be
    there in part, its first entries whole: a trial that is not told yet, or has not all of its
    parameters.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.location, self._path = str(path), path
        self._lock = _FlockLock(path.with_name(path.name + ".lock"))
        self._file = JournalFileBackend(str(path), lock_obj=self._lock)

    def read(self, start: int) -> Iterable[dict[str, Any]]:
        """See `Journal`."""
        return self._file.read_logs(start)

    def append(self, entries: list[dict[str, Any]]) -> None:
        """See `Journal`."""
        self._file.append_logs(entries)

    @contextmanager
    def held(self) -> Iterator[None]:
        """See `Journal`."""
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def claim(self) -> None:
        """See `Journal`: a torn last line is cut."""
        with self.held(), open(self._path, "r+b") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                file.truncate(whole)
                os.fsync(file.fileno())
