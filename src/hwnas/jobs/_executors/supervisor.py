"""Trains one attempt at a trial and answers for it: what `hwnas trial` does.

The training runs in a process of its own, so that a trainer that crashes, hangs or holds the
interpreter's lock neither ends the heartbeats nor goes unreported.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from hwnas._files import write_text
from hwnas._process import Message
from hwnas.errors import JobError, StoreError
from hwnas.jobs._executors.attempt import Attempt, Order, Outcome, Report
from hwnas.jobs._executors.base import Training
from hwnas.jobs._executors.local import LocalExecutor, LocalOptions
from hwnas.jobs._executors.references import References
from hwnas.jobs._folder.job import Job
from hwnas.jobs._folder.spec import Result
from hwnas.jobs._folder.trial_folder import CHECKPOINTS, METRICS
from hwnas.jobs._store.lease import Pulse

_LOOK = 1.0  # seconds between two looks at what the coordinator wants


class _Terminated(Exception):
    """A signal asks this process to end."""


def train_attempt(job: Job, trial: int, number: int | None = None) -> Outcome:
    """Train an attempt at a trial, by default the last one, and write how it ended.

    Raises:
        JobError: there is no such attempt, or another process has begun with it.
    """
    attempt = Attempt.last(job, trial) if number is None else Attempt(job, trial, number)
    order = attempt.order() if attempt is not None else None
    if attempt is None or order is None:
        raise JobError(f"{job.where} has no attempt at trial {trial} that waits for a process")
    if not attempt.begin(f"process {_name()}"):
        raise JobError(
            f"attempt {attempt.number} at trial {trial} was begun by another process, or is not "
            "wanted any more"
        )
    pulse = Pulse(attempt.store, attempt.beat, order.lease / 3)
    try:
        outcome = _outcome(job, attempt, order)
    finally:
        pulse.stop(remove=True)
    return attempt.end(outcome) if attempt.wanted else Outcome(status="cancelled")


def _outcome(job: Job, attempt: Attempt, order: Order) -> Outcome:
    try:
        with _signals():
            outcome = _train(job, attempt, order)
    except _Terminated as error:
        # Schedulers end what is to make room for others: that says nothing about the trial.
        outcome = Outcome(status="failed", kind="stale", reason=f"its command got {error}")
    if outcome.status == "failed":
        try:
            attempt.files.leave()  # a process that was killed has not
        except StoreError as error:
            print(f"checkpoints are not kept: {error}", file=sys.stderr)
    return outcome


def _train(job: Job, attempt: Attempt, order: Order) -> Outcome:
    import cloudpickle

    attempt.folder.mkdir(parents=True, exist_ok=True)
    reports = _go_on(job, attempt)
    log = attempt.folder / "process.log"
    try:
        payload = cloudpickle.dumps(References.of(job.spec))
    except JobError as error:
        return Outcome(status="broken", reason=str(error))
    training = Training(payload, order.seed, order.metric, order.exports, log)
    events: queue.Queue[Message] = queue.Queue()
    options = LocalOptions(threads=order.threads)
    executor = LocalExecutor(options, job, training, 1, order.timeout, events)
    try:
        executor.train(attempt.trial, order.arch, attempt.files)
        return _follow(executor, attempt, reports)
    except JobError as error:
        print(log.read_text(errors="replace"), file=sys.stderr)
        return Outcome(status="broken", reason=str(error))
    finally:
        executor.close()


def _follow(executor: LocalExecutor, attempt: Attempt, reports: list[Report]) -> Outcome:
    """Tell what the trainer reports until it ends, or until nobody wants it any more."""
    news, looked = False, time.monotonic()
    while True:
        event = executor.next_event(timeout=_LOOK)
        kind = event["type"] if event is not None else None
        if event is not None and kind == "report":
            row = {name: event[name] for name in ("step", "elapsed", "metrics")}
            report, news = Report.model_validate(row), True
            reports = [*(one for one in reports if one.step < report.step), report]
        ended = kind in ("done", "failed")
        if ended or time.monotonic() - looked >= _LOOK:
            looked = time.monotonic()
            if news:
                attempt.tell(reports)
                news = False
            if not attempt.wanted:
                return Outcome(status="cancelled")
            if attempt.asked_to_stop:
                executor.stop(attempt.trial)
        if event is not None and kind == "done":
            fields = {name: event[name] for name in Result.model_fields}
            return Outcome(status="done", result=Result.model_validate(fields))
        if event is not None and kind == "failed":
            return Outcome(status="failed", kind=event["kind"], reason=event["reason"])


def _go_on(job: Job, attempt: Attempt) -> list[Report]:
    """Take over the checkpoints of the attempt before this one, and what it reported.

    They are copied, since a predecessor that was given up may still write into its own.
    """
    attempts = [Attempt(job, attempt.trial, number) for number in range(attempt.number - 1, 0, -1)]
    sources = [(one.files, one.told()) for one in attempts if one.begun]
    for earlier, reports in (*sources, (job.trial(attempt.trial), [])):
        earlier.begin()
        if (earlier.folder / CHECKPOINTS).is_dir():
            target = attempt.files.folder
            shutil.copytree(earlier.folder / CHECKPOINTS, target / CHECKPOINTS)
            write_text(target / METRICS, "".join(f"{one.model_dump_json()}\n" for one in reports))
            return reports
    return []


@contextmanager
def _signals() -> Iterator[None]:
    def end(number: int, frame: object) -> NoReturn:
        raise _Terminated(signal.Signals(number).name)

    wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _name() -> str:
    return f"{os.getpid()} on {socket.gethostname()}"
