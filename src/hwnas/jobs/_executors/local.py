"""Processes of this machine that train: reused, watched, replaced when they die."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from hwnas._process import Child, Message
from hwnas.errors import JobError, StoreError
from hwnas.jobs._executors.base import Executor, ExecutorOptions
from hwnas.jobs._folder.trial_folder import TrialFolder

_STILLBORN = 5  # processes in a row that are killed while they start, until the search gives up


@dataclass
class _Worker:
    child: Child
    trial: int | None = None
    order: tuple[int, Mapping[str, Any], TrialFolder] | None = None
    ready: bool = False
    killed_because: str | None = None


class LocalOptions(ExecutorOptions):
    """`threads` of each process; by default its share of the cores."""

    threads: int | None = Field(default=None, ge=1)


@dataclass
class LocalExecutor(Executor):
    """Trains each trial in one of `size` processes that serve many trials.

    The end of a process becomes a `failed` with the reason, and its replacement is started when it
    is needed. See `hwnas.jobs._executors.process` for the other end.
    """

    Options = LocalOptions

    options: LocalOptions
    _workers: list[_Worker] = field(init=False, default_factory=list)
    _stillborn: int = field(init=False, default=0)

    def warm_up(self, count: int) -> None:
        """Start processes ahead of their first trial."""
        while len(self._workers) < min(count, self.size):
            self._workers.append(self._worker())

    def rest(self) -> None:
        """End the processes; new ones are started when trials are."""
        self.close()

    def stop(self, number: int) -> None:
        """Ask a trial to end early."""
        for worker in self._workers:
            if worker.trial == number:
                worker.child.send({"type": "stop"})

    def close(self) -> None:
        """End every process, whatever it is doing."""
        for worker in self._workers:
            worker.child.kill()
        self._workers.clear()

    def _start(self, number: int, arch: Mapping[str, Any], folder: TrialFolder) -> None:
        worker = next((w for w in self._workers if w.trial is None), None)
        if worker is None:
            worker = self._worker()
            self._workers.append(worker)
        worker.trial, worker.order = number, (number, arch, folder)
        if worker.ready:
            self._began(number)
        worker.child.send({"trial": number, "arch": dict(arch), "folder": folder.to_dict()})

    def _kill(self, number: int, reason: str) -> None:
        for worker in self._workers:
            if worker.trial == number:
                worker.killed_because = reason
                worker.child.kill()

    def _digest(self, message: Message) -> Message | None:
        if "child" not in message:
            return message
        worker = next((w for w in self._workers if w.child is message["child"]), None)
        told: Message | None = message["message"]
        if worker is None:
            return None
        if told is None:
            return self._bury(worker)
        if told["type"] == "ready":
            worker.ready = True
            self._stillborn = 0
            if worker.trial is not None:
                self._began(worker.trial)
            return None
        if told["type"] == "broken":
            raise JobError(
                f"a training process cannot start: {told['reason']} (log: {self.training.log})"
            )
        if told["type"] in ("done", "failed"):
            worker.trial = None
        return told

    def _bury(self, worker: _Worker) -> Message | None:
        self._workers.remove(worker)
        worker.child.kill()
        if not worker.ready and worker.killed_because is None:
            self._stillborn += 1
            # A signal comes from elsewhere, as a rule; the trial has not begun.
            if worker.child.process.returncode >= 0 or self._stillborn >= _STILLBORN:
                raise JobError(
                    f"a training process died while it started; its log is {self.training.log}"
                )
            if worker.order is not None:
                self._start(*worker.order)
            return None
        if worker.trial is None:
            return None
        with suppress(StoreError):  # that the trial has failed is told all the same
            self.job.trial(worker.trial).leave_log()
        kind, reason = _how_it_ended(worker.child.process.returncode)
        if worker.killed_because:
            kind, reason = "timeout", worker.killed_because
        return {"type": "failed", "trial": worker.trial, "kind": kind, "reason": reason}

    def _worker(self) -> _Worker:
        threads = self.options.threads or max(1, cores() // self.size)
        child = Child(
            "hwnas.jobs._executors.process",
            lambda child, message: self.events.put({"child": child, "message": message}),
            env={
                "OMP_NUM_THREADS": str(threads),
                "MKL_NUM_THREADS": str(threads),
                "PYTHONUNBUFFERED": "1",  # what was printed before a crash is in the log
            },
            log=self.training.log,
        )
        setup = {
            "path": sys.path,
            "threads": threads,
            "seed": self.training.seed,
            "metric": self.training.metric,
            "exports": {name: list(shape) for name, shape in self.training.exports.items()},
        }
        child.send(setup, [self.training.payload])
        return _Worker(child)


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _how_it_ended(code: int) -> tuple[str, str]:
    if code >= 0:
        return "exit", f"the process ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = "; the system kills like this when memory runs out" if name == "SIGKILL" else ""
    return "killed", f"the process was killed by {name}{hint}"
