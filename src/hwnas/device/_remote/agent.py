"""The far end of a `RemoteDevice`: it runs where there is Python 3.8 and a runtime, without hwnas.

It reads requests from its standard input and keeps a measuring process beside itself, which a
model may kill. When the input ends, everything that it started or wrote goes with it.
"""

from __future__ import annotations

import os
import platform
import queue
import shutil
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, BinaryIO, Mapping, Sequence  # noqa: UP035 - Python 3.8

from hwnas._pipes import private_pipes
from hwnas.device._remote.frames import decode, encode
from hwnas.device._worker.lock import host_lock
from hwnas.device._worker.process import START_LIMIT, WorkerLost, WorkerProcess
from hwnas.errors import HwnasError

if TYPE_CHECKING:
    from hwnas.device._worker.process import Reply


def main(key: str, folder: str) -> None:
    """Serve until standard input ends; `folder` is then removed."""
    incoming, outgoing = private_pipes()
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda *_: _end(folder))
    inbox: queue.Queue[Reply] = queue.Queue()
    threading.Thread(target=_read, args=(incoming, key, folder, inbox), daemon=True).start()
    agent = _Agent(outgoing, key)
    agent.tell({"event": "hello", "python": platform.python_version(), "path": sys.executable})
    while True:
        header, parts = inbox.get()
        try:
            agent.answer(header, parts)
        except WorkerLost as lost:
            told = {"message": str(lost), "kind": lost.kind, "model": lost.model}
            agent.tell({"event": "lost", **told})
        except HwnasError as error:
            agent.tell({"event": "error", "message": str(error)})


class _Agent:
    def __init__(self, outgoing: BinaryIO, key: str) -> None:
        self._outgoing, self._key = outgoing, key
        self._worker: WorkerProcess | None = None
        self._settings: dict[str, Any] = {}
        self._canary: list[bytes] = []

    def tell(self, header: Mapping[str, Any], parts: Sequence[bytes] = ()) -> None:
        self._outgoing.write(encode(self._key, header, parts))
        self._outgoing.flush()

    def answer(self, header: dict[str, Any], parts: list[bytes]) -> None:
        if header["request"] == "open":
            self._settings, self._canary = header["settings"], parts
            self.tell({"event": "ready"}, self._open().greeting)
            return
        self.tell({"event": "step", "where": "waiting for another measurement", "limit": None})
        with host_lock():
            worker = self._open()
            reply, outputs = worker.request(header, parts, header["time_limit"], self.tell)
        self.tell(reply, outputs)

    def _open(self) -> WorkerProcess:
        if self._worker is None or not self._worker.alive:
            self.tell({"event": "step", "where": "while starting", "limit": START_LIMIT})
            self._worker = WorkerProcess(
                "hwnas.device._remote.agent_worker", self._settings, self._canary
            )
        return self._worker


def _read(stream: BinaryIO, key: str, folder: str, inbox: queue.Queue[Reply]) -> None:
    try:
        for line in stream:
            message = decode(key, line)
            if message is not None:
                inbox.put(message)
    except (OSError, ValueError):
        pass  # a stream that brings damaged messages is as good as ended
    _end(folder)


def _end(folder: str) -> None:
    """Leave nothing behind; the measuring process dies with this one."""
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)
