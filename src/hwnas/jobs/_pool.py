"""Worker processes that train trials: reused, watched, replaced when they die."""

from __future__ import annotations

import os
import queue
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas._process import Child, Message
from hwnas.errors import JobError


@dataclass
class _Worker:
    child: Child
    trial: int | None = None
    deadline: float | None = None
    ready: bool = False
    killed_because: str | None = field(default=None)


class WorkerPool:
    """Trains at most `size` trials at a time, each in a process that serves many.

    What happens arrives in `events` as messages: `report`, `done`, `failed` (see
    `hwnas.jobs._worker`); the end of a process becomes a `failed` with the reason, and its
    replacement is started when it is needed. A trial over `timeout` seconds is killed together
    with everything it started.
    """

    def __init__(
        self,
        payload: bytes,
        *,
        size: int,
        seed: int,
        metric: str,
        exports: dict[str, tuple[int, ...]],
        timeout: float | None,
        events: queue.Queue[Message],
        log: Path,
    ) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        self._threads = max(1, (cores or 1) // size)
        self._setup: Message = {
            "path": sys.path,
            "threads": self._threads,
            "seed": seed,
            "metric": metric,
            "exports": exports,
        }
        self._payload = payload
        self._size = size
        self._timeout = timeout
        self._events = events
        self._log = log
        self._workers: list[_Worker] = []

    @property
    def free(self) -> int:
        """How many more trials can start now."""
        return self._size - self.busy

    @property
    def busy(self) -> int:
        """How many trials are being trained."""
        return sum(w.trial is not None for w in self._workers)

    def warm_up(self, count: int) -> None:
        """Start processes ahead of their first trial."""
        while len(self._workers) < min(count, self._size):
            self._workers.append(self._start())

    def train(self, number: int, arch: dict[str, Any], folder: Path) -> None:
        """Start a trial; `free` must be positive."""
        worker = next((w for w in self._workers if w.trial is None), None)
        if worker is None:
            worker = self._start()
            self._workers.append(worker)
        worker.trial = number
        if worker.ready and self._timeout is not None:
            worker.deadline = time.monotonic() + self._timeout
        folder.mkdir(parents=True, exist_ok=True)
        worker.child.send({"trial": number, "arch": arch, "folder": str(folder)})

    def stop(self, number: int) -> None:
        """Ask a trial to end early, with the metrics it has."""
        for worker in self._workers:
            if worker.trial == number:
                worker.child.send({"type": "stop"})

    def next_event(self, timeout: float) -> Message | None:
        """The next thing that happened, or None after `timeout` seconds.

        Raises:
            JobError: a worker could not load the space, the trainer or the data.
        """
        self._kill_overdue()
        deadlines = [w.deadline for w in self._workers if w.deadline is not None]
        if deadlines:
            timeout = max(0.0, min(timeout, min(deadlines) - time.monotonic()))
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return None
        return self._digest(event) if "child" in event else event

    def _digest(self, event: Message) -> Message | None:
        worker = next((w for w in self._workers if w.child is event["child"]), None)
        message: Message | None = event["message"]
        if worker is None:
            return None
        if message is None:
            return self._bury(worker)
        if message["type"] == "ready":
            worker.ready = True
            if worker.trial is not None and self._timeout is not None:
                worker.deadline = time.monotonic() + self._timeout
            return None
        if message["type"] == "broken":
            raise JobError(
                f"a training process cannot start: {message['reason']} (log: {self._log})"
            )
        if message["type"] in ("done", "failed"):
            worker.trial = worker.deadline = None
        return message

    def _bury(self, worker: _Worker) -> Message | None:
        self._workers.remove(worker)
        worker.child.kill()
        if not worker.ready and worker.killed_because is None:
            raise JobError(f"a training process died while it started; its log is {self._log}")
        if worker.trial is None:
            return None
        kind, reason = _how_it_ended(worker.child.process.returncode)
        if worker.killed_because:
            kind, reason = "timeout", worker.killed_because
        return {"type": "failed", "trial": worker.trial, "kind": kind, "reason": reason}

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.deadline is not None and now >= worker.deadline:
                worker.deadline = None
                worker.killed_because = f"not finished after {self._timeout:g} s (--trial-timeout)"
                worker.child.kill()

    def _start(self) -> _Worker:
        threads = str(self._threads)
        child = Child(
            "hwnas.jobs._worker",
            lambda child, message: self._events.put({"child": child, "message": message}),
            env={
                "OMP_NUM_THREADS": threads,
                "MKL_NUM_THREADS": threads,
                "PYTHONUNBUFFERED": "1",  # what was printed before a crash is in the log
            },
            log=self._log,
        )
        child.send(self._setup, [self._payload])
        return _Worker(child)

    def close(self) -> None:
        """End every process, whatever it is doing."""
        for worker in self._workers:
            worker.child.kill()
        self._workers.clear()


def _how_it_ended(code: int) -> tuple[str, str]:
    if code >= 0:
        return "exit", f"the process ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = "; the system kills like this when memory runs out" if name == "SIGKILL" else ""
    return "killed", f"the process was killed by {name}{hint}"
