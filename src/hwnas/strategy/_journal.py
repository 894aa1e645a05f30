"""Optuna's journal file with what a search needs of it: repair, transactions, a lock that dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend
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


class Journal(JournalFileBackend):
    """A journal file whose writer can group entries: one append and one fsync per group.

    A kill or a full disk in the middle of an append leaves part of a line. Opening the journal cuts
    such a torn tail, so what was written before it stays readable. After it a group may be there in
    part, its first entries whole: a trial that is not told yet, or has not all of its parameters.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=_FlockLock(path.with_name(path.name + ".lock")))
        self._path = path
        self._pending: list[dict[str, Any]] | None = None
        self._start: int | None = None

    def repair(self) -> None:
        """Cut a torn last line. Only the process that writes the study may call it."""
        self._lock.acquire()
        try:
            with open(self._path, "r+b") as file:
                content = file.read()
                whole = content.rfind(b"\n") + 1
                if whole < len(content):
                    file.truncate(whole)
                    os.fsync(file.fileno())
        finally:
            self._lock.release()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold back the entries of the block and append them together at its end.

        For one thread. Nothing is appended where the block raises before its first entry; entries
        made before an error are kept, because Optuna has applied them in memory.
        """
        self._lock.acquire()
        self._pending, self._start = [], None
        try:
            yield
        finally:
            pending, self._pending = self._pending, None
            try:
                if pending:
                    super().append_logs(pending)
            finally:
                self._lock.release()

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The entries from a number on, those of an open transaction included."""
        if self._pending is None:
            yield from super().read_logs(log_number_from)
            return
        if self._start is None:
            start = log_number_from
            for entry in super().read_logs(log_number_from):
                start += 1
                yield entry
            log_number_from = self._start = start
        yield from self._pending[log_number_from - self._start :]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append entries, or keep them until the transaction ends."""
        if self._pending is None:
            super().append_logs(logs)
        else:
            # The same round trip through JSON that the file would give.
            self._pending.extend(json.loads(json.dumps(logs)))
