"""A trial that waits for what a latency calculator tells of its model."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Any

from hwnas.errors import StoreError, TrialError
from hwnas.vertex import _storage
from hwnas.vertex._layout import ANSWER, TrialPlace

if TYPE_CHECKING:
    from hwnas.vertex._board import Board

_SILENCE = 90.0  # seconds after which calculators that were there do not come back


def wait_and_retrieve_latency(
    saved_model_path: str, sleep_time: float = 30, timeout: float = 600.0
) -> dict[str, Any]:
    """What the job's latency calculator tells of a model that this trial has saved.

    Args:
        saved_model_path: the model's folder, or its file, in the trial's folder. Everything must be
            written: the calculator is told that it may begin.
        sleep_time: the longest pause, in seconds, between two looks.
        timeout: seconds that a calculator may take from when it began; waiting in line behind
            others does not count. Where no calculator shows up, seconds to wait for one.

    Returns:
        The calculator's numbers, such as `latency_in_milliseconds` and `model_memory`.

    Raises:
        TrialError: the calculator failed on this model, took too long, died, or there is none; or
            the model is not in the trial's folder.
    """
    path = os.fspath(saved_model_path).rstrip("/")
    place = TrialPlace.here() or TrialPlace.of(os.path.abspath(path) if "://" not in path else path)
    if place is None:
        folder, patience = path, None
    else:
        folder, patience = _ask(place, path, timeout)
    answer = f"{folder}/{ANSWER}"
    began, pause = time.monotonic(), 0.05
    while True:
        found, damaged = _answer(answer)
        if found is not None:
            return _checked(found, path)
        if time.monotonic() - began > timeout and (patience is None or damaged):
            raise TrialError(damaged or f"no latency calculator in {timeout:g} s wrote {answer}")
        if patience is not None:
            patience.look(path)
        time.sleep(min(pause, sleep_time))
        pause = min(1.5 * pause, 1.0)


def _answer(file: str) -> tuple[Any, str]:
    try:
        return _storage.read_json(file), ""
    except StoreError as error:  # a calculator that does not write it at once may be writing it
        return None, str(error)


def _ask(place: TrialPlace, path: str, timeout: float) -> tuple[str, _Patience]:
    """Tell calculators of the model; the folder where the answer will be."""
    from hwnas.vertex._board import Board

    full = path if "://" in path else os.path.abspath(path)
    inside = place.folder if "://" in place.folder else os.path.abspath(place.folder)
    if not full.startswith(f"{inside}/"):
        raise TrialError(
            f"the model {path} is not in the trial's folder {inside}, where calculators look"
        )
    relative = full.removeprefix(f"{inside}/")
    is_file = _storage.read(full) is not None if "://" in full else os.path.isfile(full)
    folder = os.path.dirname(relative) if is_file else relative
    board = Board.at(place.job, place.stage)
    work = board.request(place.trial, relative, folder)
    return f"{inside}/{folder}" if folder else inside, _Patience(board, work, timeout)


class _Patience:
    """Waits as long as there is reason to: the model is in line, or being measured."""

    def __init__(self, board: Board, work: str, timeout: float) -> None:
        from hwnas.vertex._board import Workers

        self._store, self._work, self._timeout = board.store, work, timeout
        self._workers = Workers(board)
        self._generation, self._claimed = 0, math.inf
        self._alive, self._any = time.monotonic(), False

    def look(self, path: str) -> None:
        """Raise TrialError when nobody will answer any more."""
        from hwnas.jobs import last_generation

        now = time.monotonic()
        generation = last_generation(self._store, self._work)
        if generation != self._generation:
            self._generation, self._claimed = generation, now
        if now - self._claimed > self._timeout:
            raise TrialError(f"the latency calculator took over {self._timeout:g} s for {path}")
        silences = self._workers.silences().values()
        self._any = self._any or bool(silences)
        self._alive = max(self._alive, now - min(silences, default=math.inf))
        if self._any and now - self._alive > _SILENCE:
            raise TrialError(f"the latency calculators of the job are gone; {path} waits in vain")
        if not self._any and now - self._alive > self._timeout:
            raise TrialError(
                f"no latency calculator has shown up in {self._timeout:g} s; {path} waits in vain"
            )


def _checked(found: Any, path: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise TrialError(f"the latency calculator's answer for {path} is {found!r}, not an object")
    if found.get("status", "ok") != "ok":
        raise TrialError(f"the latency calculator failed on {path}: {found.get('error')}")
    for name, value in found.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise TrialError(f"the latency calculator told {name} = {value} of {path}")
    return found
