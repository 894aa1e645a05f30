"""Trials that are programs of the user which follow Vertex's trainer protocol."""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas._kept import Kept
from hwnas._process import Message
from hwnas.errors import StoreError, TrialError, describe
from hwnas.jobs import (
    NOT_KEPT,
    Executor,
    ExecutorFactory,
    ExecutorOptions,
    Job,
    Training,
    TrialFolder,
)
from hwnas.vertex._board import Board, path_of
from hwnas.vertex._flags import as_words
from hwnas.vertex._layout import TrialPlace
from hwnas.vertex._metrics import Reported, reports
from hwnas.vertex._programs import Launch
from hwnas.vertex._trainers import Trainer

_GRACE = 30.0  # seconds that a trial has to end when it is asked to

_REPORTED = "reported_metrics.jsonl"
"""The trainer's own file, in the trial's folder of the job."""


@dataclass
class _Trial:
    command: Kept
    launch: Launch
    place: TrialPlace
    files: TrialFolder
    began: float
    told: int = 0
    stopped: float | None = None
    killed_because: str | None = None

    @property
    def reported(self) -> Path:
        """The file that the trainer writes its metrics to."""
        return self.files.folder / _REPORTED


@dataclass
class VertexExecutor(Executor):
    """Starts the trainer for each trial, by flags and environment, and reads back what it reports.

    A trial is done when its process ends with code 0 and has reported the metric; the last report
    counts. It has failed, with the reason, when the process ends otherwise, or the metric is
    missing or not finite. A trial that is asked to end early gets SIGTERM, and counts if it has
    reported by then.
    """

    trainer: Trainer
    _trials: dict[int, _Trial] = field(init=False, default_factory=dict)
    _board: Board = field(init=False)

    def __post_init__(self) -> None:
        self._board = Board(self.job.store, self.trainer.stage)

    def next_event(self, timeout: float) -> Message | None:
        """See `Executor.next_event`; intermediate reports are looked for each time."""
        for number, trial in self._trials.items():
            self._tell_reports(number, trial)
        return super().next_event(timeout)

    def stop(self, number: int) -> None:
        """Ask a trial to end early."""
        trial = self._trials.get(number)
        if trial is None:
            return
        now = time.monotonic()
        if trial.stopped is None:
            trial.stopped = now
            trial.command.terminate()
        elif now - trial.stopped > _GRACE:
            trial.command.kill()
            trial.launch.clean_up()

    def close(self) -> None:
        """End every process, whatever it is doing."""
        for trial in self._trials.values():
            trial.command.kill()
            trial.launch.clean_up()
        with contextlib.suppress(StoreError):  # who resumes the job begins these trials anew
            for trial in self._trials.values():
                self._board.end(trial.place.trial)
        self._trials.clear()

    def _start(self, number: int, arch: Mapping[str, Any], folder: TrialFolder) -> None:
        trainer = self.trainer
        place = TrialPlace(path_of(self.job.store), trainer.stage, trainer.trial_id(number, arch))
        try:
            self._board.begin(place.trial, trainer.params_str(arch))
            folder.begin()
        except StoreError as error:
            self.events.put(_not_kept(number, error))
            return
        for reported in (folder.folder / _REPORTED, folder.metrics):  # of an earlier attempt
            reported.unlink(missing_ok=True)
        here = folder.folder.absolute()
        launch = trainer.program.launch(
            as_words({"job-dir": place.folder, **trainer.flags_of(arch)}),
            {
                "AIP_MODEL_DIR": place.folder,
                "CLOUD_ML_TRIAL_ID": str(place.trial),
                "CLOUD_ML_HP_METRIC_TAG": trainer.metric,
                "CLOUD_ML_HP_METRIC_FILE": str(here / _REPORTED),
                "PYTHONUNBUFFERED": "1",  # what was printed before a crash is in the log
            },
            [here],
        )
        self._began(number)
        command = Kept(
            launch.argv,
            env=launch.env,
            log=folder.log,
            on_end=lambda code: self.events.put({"type": "ended", "trial": number, "code": code}),
        )
        self._trials[number] = _Trial(command, launch, place, folder, time.monotonic())

    def _kill(self, number: int, reason: str) -> None:
        trial = self._trials.get(number)
        if trial is not None:
            trial.killed_because = reason
            trial.command.kill()
            trial.launch.clean_up()

    def _digest(self, message: Message) -> Message | None:
        if message["type"] != "ended":
            return message
        number = message["trial"]
        trial = self._trials[number]
        if self._tell_reports(number, trial):
            self.events.put(message)  # after them
            return None
        del self._trials[number]
        try:
            return {"trial": number, **self._outcome(trial, message["code"])}
        except StoreError as error:
            return _not_kept(number, error)

    def _outcome(self, trial: _Trial, code: int) -> Message:
        self._board.end(trial.place.trial)
        try:
            last = self._last_report(trial, code)
        except TrialError as error:
            kind = "timeout" if trial.killed_because else _kind(code)
            kind, reason = self._judged(trial, kind, str(error))
            trial.files.leave()
            return {"type": "failed", "kind": kind, "reason": reason}
        result: Message = {
            "metrics": dict(last.metrics),
            "costs": {},
            "step": last.step,
            "elapsed": time.monotonic() - trial.began,
        }
        trial.files.keep_result(result)
        trial.files.publish()  # from now on it is trained, and is never trained again
        return {"type": "done", **result}

    def _last_report(self, trial: _Trial, code: int) -> Reported:
        if trial.killed_because:
            raise TrialError(trial.killed_because)
        if code and trial.stopped is None:
            told = trial.command.last_line()[:300]
            said = f": {told}" if told else ""
            raise TrialError(f"the trainer {_how(code)}{said}")
        found = reports(trial.reported, self.trainer.metric)
        if not found:
            raise TrialError(
                f"the trainer {_how(code)} and reported no '{self.trainer.metric}' "
                "(in the file that CLOUD_ML_HP_METRIC_FILE names)"
            )
        return found[-1]

    def _judged(self, trial: _Trial, kind: str, reason: str) -> tuple[str, str]:
        """Kind and reason of a failure, with what the latency calculator has to do with it."""
        told = self._board.failure(trial.place.trial)
        if told is None:
            return kind, reason
        judged = "infeasible" if told.status == "infeasible" else kind
        return judged, f"{reason}; the latency calculator failed: {told.error}"

    def _tell_reports(self, number: int, trial: _Trial) -> bool:
        """Tell what is new, if anything is."""
        try:
            new = reports(trial.reported, self.trainer.metric)[trial.told :]
        except TrialError:  # the last word is not spoken as long as the trial runs
            return False
        trial.told += len(new)
        for one in new:
            elapsed = round(time.monotonic() - trial.began, 3)
            row = {"step": one.step, "elapsed": elapsed, "metrics": dict(one.metrics)}
            with open(trial.files.metrics, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            self.events.put({"type": "report", "trial": number, **row})
        return bool(new)


def _not_kept(number: int, error: StoreError) -> Message:
    return {"type": "failed", "trial": number, "kind": NOT_KEPT, "reason": describe(error)}


def vertex_executor(trainer: Trainer) -> ExecutorFactory:
    """What `run_search` makes the executor with."""

    def make(
        job: Job,
        training: Training,
        size: int,
        timeout: float | None,
        events: queue.Queue[Message],
    ) -> VertexExecutor:
        return VertexExecutor(ExecutorOptions(), job, training, size, timeout, events, trainer)

    return make


def _kind(code: int) -> str:
    if code == 0:
        return "metrics"
    return "killed" if code < 0 else "exit"


def _how(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
