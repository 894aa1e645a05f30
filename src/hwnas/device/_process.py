"""A worker process and its life: started, spoken to, timed out, reaped."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from hwnas._pipes import receive, send
from hwnas.device._memory import memory_kills
from hwnas.errors import DeviceError, ModelFault

_START_LIMIT = 300.0  # seconds; importing torch, exporting or compiling the canary, a busy host


class WorkerLost(ModelFault):
    """The worker died, or was killed at the time limit; `model` is the one it was loading."""

    def __init__(self, message: str, kind: str, model: int | None) -> None:
        super().__init__(message, kind)
        self.model = model


class WorkerProcess:
    """One worker; not thread safe. After a DeviceError with `alive` False it is gone for good."""

    def __init__(self, settings: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        # A file, not a pipe: nobody has to read along, and a chatty model cannot block.
        self._stderr = tempfile.TemporaryFile(mode="a+b", prefix="hwnas-")  # noqa: SIM115
        self._events: queue.Queue[dict[str, Any] | BaseException] = queue.Queue()
        started: queue.Queue[subprocess.Popen[bytes] | OSError] = queue.Queue()
        # The kernel ties a child to the thread that started it, not to the process, so a thread
        # that lives as long as the child starts it.
        self._owner = threading.Thread(
            target=self._own, args=(dict(environment), started), daemon=True
        )
        self._owner.start()
        child = started.get()
        if isinstance(child, OSError):
            raise DeviceError(f"cannot start a measuring process: {child}")
        self._child = child
        self._memory_kills = memory_kills()
        try:
            self._request(dict(settings), [], _START_LIMIT)
        except BaseException as error:
            self.kill()
            if isinstance(error, WorkerLost):  # no model is to blame
                raise DeviceError(str(error)) from error
            raise

    @property
    def alive(self) -> bool:
        """Whether another request can be sent."""
        return self._owner.is_alive()

    def request(
        self, header: dict[str, Any], parts: Sequence[bytes], limit: float
    ) -> dict[str, Any]:
        """Send a request and wait for its result, at most `limit` seconds for each model's step.

        Raises:
            WorkerLost: the worker died, or was killed at the limit.
            DeviceError: the worker reports an error.
        """
        self._stderr.truncate(0)
        try:
            return self._request(header, parts, limit)
        except DeviceError:
            raise
        except BaseException:
            self.kill()  # an interrupted request leaves a worker that answers late
            raise

    def kill(self) -> None:
        """End the worker now; it may be dead already."""
        if self.alive:  # not so in a fork of this process, which has no claim on the worker
            self._child.kill()
        self._owner.join()
        self._stderr.close()

    def _own(
        self,
        environment: dict[str, str],
        started: queue.Queue[subprocess.Popen[bytes] | OSError],
    ) -> None:
        command = [sys.executable, "-m", "hwnas.device._worker", str(os.getpid())]
        pipe = subprocess.PIPE
        try:
            child = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=self._stderr, env=environment
            )
        except OSError as error:
            started.put(error)
            return
        assert child.stdin is not None
        assert child.stdout is not None
        started.put(child)
        try:
            while True:
                self._events.put(receive(child.stdout)[0])
        except (EOFError, ValueError, OSError) as error:
            child.kill()  # it closed its pipe or wrote nonsense: no use any more
            child.wait()
            self._events.put(error)
        finally:
            child.stdout.close()
            with contextlib.suppress(OSError):  # what was not sent cannot be flushed
                child.stdin.close()

    def _request(
        self, header: dict[str, Any], parts: Sequence[bytes], limit: float
    ) -> dict[str, Any]:
        assert self._child.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it died; the owner says how
            send(self._child.stdin, header, parts)
        where, model, deadline = "while starting", None, time.monotonic() + limit
        while True:
            try:
                event = self._events.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty:
                self._child.kill()
                self._owner.join()
                raise WorkerLost(
                    f"{where}: no result within the time limit of {limit:g} s; killed",
                    "timeout",
                    model,
                ) from None
            if isinstance(event, BaseException):
                self._owner.join()
                kind, fate = self._fate()
                raise WorkerLost(f"{where}: the worker {fate}{self._last_lines()}", kind, model)
            if event["event"] == "error":
                raise DeviceError(f"{where}: {event['message']}")
            if event["event"] != "step":
                return event
            where, model = event["where"], event.get("model")
            deadline = time.monotonic() + limit * event.get("count", 1)

    def _fate(self) -> tuple[str, str]:
        """The kind of fault, and what happened to the process."""
        code = self._child.returncode
        if code is None or code >= 0:
            return "crash", f"ended with exit code {code}"
        name = signal.Signals(-code).name
        if -code == signal.SIGKILL and memory_kills() > self._memory_kills:
            return "memory", f"was killed by {name}, since the host ran out of memory"
        self._stderr.seek(0)
        kind = "memory" if b"bad_alloc" in self._stderr.read() else "crash"
        return kind, f"was killed by {name}"

    def _last_lines(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read()[-2000:].decode(errors="replace").split("\n")
        last = " | ".join(line.strip() for line in lines if line.strip())[-400:]
        return f"; its last lines: {last}" if last else ""
