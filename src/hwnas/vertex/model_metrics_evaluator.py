"""Latency calculators: Vertex's module of the same name."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import tempfile
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, cast

from hwnas.errors import DeviceError, describe
from hwnas.jobs import Claims, InfeasibleModel, Lease, Pulse
from hwnas.vertex._board import Board, Failed, SavedModel, Workers, path_of
from hwnas.vertex._flags import check_worker
from hwnas.vertex._ids import job_index
from hwnas.vertex._layout import Stage

_log = logging.getLogger(__name__)

_SETTLED = 1.0  # seconds without a new file, where a trainer does not say that its model is whole
_TRIES = 2
_RESUMED = 10.0  # seconds that a job that has ended is given to be resumed


class ModelMetricsEvaluator(ABC):
    """Measures the models of a job's running trials on the device that it runs on.

    A subclass implements `evaluate_saved_model`, and calls `run_continuous_evaluation_loop`. Any
    number of calculators may serve a job. Each model is measured by one of them; when that one
    dies, another takes over. With `num_latency_workers` above 1, the one of number
    `latency_worker_id` measures the trials with `trial_id % num_latency_workers ==
    latency_worker_id`, and those of a part whose calculators have died.

    Attributes:
        service_endpoint: kept, and not used: the work is found in the store.
        project_id: kept, and not used.
        nas_job_id: the job.
        latency_worker_id: the number of this calculator.
        num_latency_workers: how many divide the trials.
        job_output_dir: the folder (or URL) of the trials' folders.

    Args:
        nas_job_id: the job's number, or a resource name that ends in it, found by the store that
            HWNAS_STORE names; or the job's folder or URL (of a train job with `/nas/train`).

    Raises:
        UsageError: unless 0 <= latency_worker_id < num_latency_workers; or no store is named.
        JobError: there is no such job.
    """

    def __init__(
        self,
        service_endpoint: str,
        project_id: str,
        nas_job_id: str,
        latency_worker_id: int = 0,
        num_latency_workers: int = 1,
    ) -> None:
        check_worker(latency_worker_id, num_latency_workers)
        self.service_endpoint = service_endpoint
        self.project_id = project_id
        self.nas_job_id = nas_job_id
        self.latency_worker_id = latency_worker_id
        self.num_latency_workers = num_latency_workers
        self._board = _board_of(str(nas_job_id))
        self.job_output_dir = f"{path_of(self._board.job)}/nas/{self._board.stage}"
        self._ended = threading.Event()

    @abstractmethod
    def evaluate_saved_model(self, trial_id: int, saved_model_path: str) -> dict[str, Any]:
        """What a model takes: `latency_in_milliseconds`, `model_memory` (MiB), and whatever else
        the trainer reads: accuracy, power. Numbers must be finite, a latency above zero.

        What it raises fails this model: the trial is told at once, after a second try.
        `hwnas.jobs.InfeasibleModel` says that the device will never run it.

        Args:
            trial_id: the trial, from 1.
            saved_model_path: what `convert` returned; by default the model as the trainer saved it.
        """

    def convert(self, trial_id: int, saved_model_path: str) -> str:
        """Turn a model into what the device runs (TensorRT, for example), and return its path.

        Write it elsewhere than beside the trainer's model; by default it is left as it is.
        """
        return saved_model_path

    def stop(self) -> None:
        """End after the model in hand."""
        self._ended.set()

    def run_continuous_evaluation_loop(
        self, *, lease: float = 30.0, poll: float = 0.2, idle: float | None = None
    ) -> None:
        """Measure until the job ends, SIGTERM or SIGINT comes, or nothing came for a while.

        The model in hand is finished first.

        Args:
            lease: seconds without a sign of life after which another calculator takes over.
            poll: seconds between two looks for models.
            idle: seconds without a model after which this ends; None waits for the job's end.

        Raises:
            StoreError: the job's store cannot be reached.
        """
        name = f"{_host()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        board, claims = self._board, Claims(self._board.store, name, seconds=lease)
        pulse = Pulse(board.store, f"workers/{self.latency_worker_id}/{name}", lease / 3)
        look = _Look(board, self.latency_worker_id, self.num_latency_workers, lease)
        since = started = time.monotonic()
        over = board.ended  # before, maybe, and about to be resumed
        try:
            with _on_signal(self._ended.set):
                while not self._ended.is_set():
                    began = time.monotonic()
                    if self._measure_next(look, claims):
                        since = time.monotonic()
                        continue
                    ended = board.ended
                    over = over and ended
                    if ended and (not over or began - started >= _RESUMED):
                        _log.info("the job has ended")
                        return
                    if idle is not None and began - since >= idle:
                        _log.info("no model for %g s", idle)
                        return
                    # Where looking takes long, it is not done all the time.
                    self._ended.wait(max(poll, 4 * (time.monotonic() - began)))
        finally:
            pulse.stop(remove=True)

    def _measure_next(self, look: _Look, claims: Claims) -> bool:
        for model in look.models():
            if self._ended.is_set():
                return False
            lease = claims.take(model.work)
            if lease is not None:
                with lease:
                    self._serve(model, lease)
                return True
        return False

    def _serve(self, model: SavedModel, lease: Lease) -> None:
        _log.info("trial %d: measuring %s", model.trial, model.model)
        answer = self._answer(model)
        if not lease.held() or not self._board.answer(model, answer):
            _log.info("trial %d: another has answered; this result does not count", model.trial)
            return
        _log.info("trial %d: %s", model.trial, answer)

    def _answer(self, model: SavedModel) -> dict[str, Any]:
        failed = Failed("failed", "")
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_SETTLED)  # it may have been the trainer that was not ready
            try:
                with _at_hand(self._board, model) as path:
                    converted = self.convert(model.trial, path)
                    return checked_metrics(self.evaluate_saved_model(model.trial, converted))
            except InfeasibleModel as error:
                failed = Failed("infeasible", describe(error))
                break
            except Exception as error:  # noqa: BLE001 - it is the user's; the calculator goes on
                failed = Failed("failed", describe(error))
                _log.warning("trial %d: %s", model.trial, failed.error, exc_info=True)
        return asdict(failed)


class _Look:
    """What there is to do for one calculator."""

    def __init__(self, board: Board, part: int, parts: int, lease: float) -> None:
        self._board, self._part, self._parts, self._lease = board, part, parts, lease
        self._workers = Workers(board)
        self._settling: dict[str, tuple[list[str], float]] = {}

    def models(self) -> Iterator[SavedModel]:
        """Models that wait, are whole, and are this calculator's to measure."""
        for model in self._board.waiting():
            if self._is_mine(model.trial) and (model.requested or self._settled(model)):
                yield model

    def _is_mine(self, trial: int) -> bool:
        part = trial % self._parts
        if part == self._part:
            return True
        silences = self._workers.silences(part)
        return bool(silences) and min(silences.values()) >= self._lease

    def _settled(self, model: SavedModel) -> bool:
        files, now = self._board.files(model), time.monotonic()
        before, since = self._settling.get(model.work, ([], now))
        if files != before:
            self._settling[model.work] = (files, now)
            return False
        return now - since >= _SETTLED


def checked_metrics(found: Any) -> dict[str, Any]:
    """What `evaluate_saved_model` returned, if a trial can go by it.

    Raises:
        DeviceError: it is no dict, is empty, or has a number that cannot be.
    """
    if not isinstance(found, dict) or not found:
        raise DeviceError(f"evaluate_saved_model returned {found!r}, not a dict of numbers")
    checked: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, str | bool) or value is None:
            checked[str(name)] = value
            continue
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise DeviceError(f"evaluate_saved_model returned {name} = {value!r}") from error
        wrong = number <= 0 if "latency" in str(name) else False
        if wrong or not math.isfinite(number):
            raise DeviceError(f"evaluate_saved_model returned {name} = {value!r}, which cannot be")
        checked[str(name)] = int(value) if isinstance(value, int) else number
    return checked


def _board_of(nas_job_id: str) -> Board:
    if "://" in nas_job_id or nas_job_id.startswith(("/", ".", "~")):
        folder, slash, stage = nas_job_id.rstrip("/").rpartition("/nas/")
        if slash and stage in ("search", "train"):
            return Board.at(folder, cast(Stage, stage))
        return Board.at(nas_job_id, "search")
    index = job_index()
    job = index.find(nas_job_id)
    return Board.at(index.url(job), job.kind)


@contextmanager
def _at_hand(board: Board, model: SavedModel) -> Iterator[str]:
    """The model as a path of this machine, for as long as it is measured."""
    if board.trials.url.startswith("file://"):
        yield f"{path_of(board.trials)}/{model.trial}/{model.model}"
        return
    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
        for name in board.files(model):
            board.trials.download(f"{model.trial}/{name}", Path(folder, name))
        yield str(Path(folder, model.model))


def _host() -> str:
    return (
        "".join(c if c.isalnum() and c.isascii() else "-" for c in socket.gethostname()) or "host"
    )


@contextmanager
def _on_signal(act: Any) -> Iterator[None]:
    """SIGTERM and SIGINT call `act`; outside of the main thread they are left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(number: int, frame: FrameType | None) -> None:
        act()

    before = {one: signal.signal(one, handler) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for one, old in before.items():
            signal.signal(one, old)
