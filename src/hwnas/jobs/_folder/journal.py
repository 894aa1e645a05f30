"""The study of a job in a store: Optuna's journal as segments that are created one by one."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from optuna.storages.journal._storage import JournalOperation

from hwnas.errors import JobError, StoreError
from hwnas.jobs._folder.hold import JobLost
from hwnas.jobs._store.store import Store
from hwnas.strategy import Journal

_AT_ONCE = 16
_STEP = JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE
_VERSION = 1
_SOON = 5.0  # seconds that the value of a step may wait for others, to be written with them


class StoreJournal(Journal):
    """Segment n of the journal is the object `<n>`: a line that names the writer, then entries.

    A segment is created, never overwritten, and none is left out. So the order of entries is that
    of the names, and a writer whose place another has taken cannot add anything: its next segment
    is there already. Who becomes the writer adds an empty segment to that end. A segment that was
    written, and whose answer was lost, is recognised as one's own.

    Values of steps are many and decide nothing, so they wait a little and are written together; the
    trial's `metrics.jsonl` has them, too.
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.location = store.url
        self._store = store
        self._writer = uuid.uuid4().hex
        self._writes = False
        self._segments = 0
        self._entries: list[str] = []
        self._waiting: list[str] = []
        self._wrote = 0.0

    def read(self, start: int) -> Iterable[dict[str, Any]]:
        """See `Journal`. What was read before is not read again; the writer knows it all."""
        if not self._writes:
            self._catch_up()
        return (json.loads(line) for line in self._entries[start:])

    def append(self, entries: list[dict[str, Any]]) -> None:
        """See `Journal`.

        Raises:
            JobError: another process writes the journal now.
            StoreError: the store is out of reach.
        """
        if not self._writes:
            raise JobError(f"{self.location} was opened to be read")
        lines = [json.dumps(entry, separators=(",", ":")) for entry in entries]
        steps = all(entry["op_code"] == _STEP for entry in entries)
        if steps and time.monotonic() - self._wrote < _SOON:
            self._waiting += lines
        elif self._add([*self._waiting, *lines]):
            self._waiting = []
            self._wrote = time.monotonic()
        else:
            raise JobLost(f"another process goes on with {self.location}; this one has stopped")
        self._entries += lines

    @contextmanager
    def held(self) -> Iterator[None]:
        """See `Journal`: nobody else can write anyway."""
        yield

    def claim(self) -> None:
        """See `Journal`: from here on no earlier writer can add anything."""
        while True:
            self._catch_up()
            if self._add([]):
                self._writes = True
                return

    def _add(self, lines: list[str]) -> bool:
        number = self._segments + 1
        head = json.dumps({"version": _VERSION, "writer": self._writer, "segment": number})
        data = "\n".join([head, *lines, ""]).encode()
        if not self._store.create(_name(number), data):
            return False
        self._segments = number
        return True

    def _catch_up(self) -> None:
        there = [int(name) for name in self._store.names() if name.isdecimal()]
        wanted = range(self._segments + 1, max(there, default=0) + 1)
        if not wanted:
            return
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(self._store.get, map(_name, wanted))
            for number, data in zip(wanted, found, strict=True):
                self._entries += self._lines(number, data)
                self._segments = number

    def _lines(self, number: int, data: bytes | None) -> list[str]:
        where = f"{self.location}/{_name(number)}"
        if data is None:
            raise StoreError(f"{where} is gone, and with it a part of the study")
        try:
            head, *lines = data.decode().splitlines()
            version = json.loads(head)["version"]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{where} is damaged: it does not begin as a segment does") from error
        if version != _VERSION:
            raise StoreError(f"{where} is of version {version}; this hwnas reads {_VERSION}")
        return lines


def _name(number: int) -> str:
    return f"{number:08}"
