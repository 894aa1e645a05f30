"""Programs that run beside a job: ready before its first trial, ended with it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType

from hwnas._kept import Kept
from hwnas.errors import JobError

_LOOK = 0.1  # seconds between looks
_PAUSE, _LONGEST = 1.0, 60.0  # seconds until a program is started again, and after many times
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Companion:
    """One of them.

    Attributes:
        name: what messages call it.
        argv: its words.
        log: where what it prints goes.
        ready: whether it has begun its work.
        env: variables to add to those that there are.
        clean_up: called when it did not end by itself: what it began elsewhere would live on.
    """

    name: str
    argv: Sequence[str]
    log: Path
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    clean_up: Callable[[], None] = lambda: None


class Companions:
    """Programs that run inside the `with` block.

    Entered, all of them are ready, or none is left running. One that then ends, otherwise than with
    code 0, is started again. At the end each is asked to end by SIGTERM, and killed with all that
    it started if it does not. They end with this process, too, however that ends.

    Args:
        programs: to run.
        start_limit: seconds within which all must be ready.
        stop_limit: seconds from being asked to end to being killed.

    Raises:
        JobError: on entering, one of them cannot be started, or ends, or is not ready in time.
    """

    def __init__(
        self,
        programs: Sequence[Companion],
        *,
        start_limit: float = 120.0,
        stop_limit: float = 30.0,
    ) -> None:
        self._programs = programs
        self._start_limit, self._stop_limit = start_limit, stop_limit
        self._running: dict[int, Kept] = {}
        self._ready, self._over = threading.Event(), threading.Event()
        self._starting = threading.Lock()

    def __enter__(self) -> Companions:
        try:
            for number in range(len(self._programs)):
                self._start(number, _PAUSE)
            self._wait_until_ready()
            self._ready.set()
        except BaseException:
            self._stop_all()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop_all()

    def _start(self, number: int, pause: float) -> None:
        one = self._programs[number]
        ended = partial(self._ended, number, pause, time.monotonic())
        self._running[number] = Kept(one.argv, env=one.env, log=one.log, on_end=ended)

    def _ended(self, number: int, pause: float, began: float, code: int) -> None:
        if code == 0 or self._over.is_set() or not self._ready.is_set():
            return
        one = self._programs[number]
        one.clean_up()
        if time.monotonic() - began > _LONGEST:
            pause = _PAUSE
        _log.warning(
            "%s ended with code %d, and is started again (see %s)", one.name, code, one.log
        )
        self._over.wait(pause)
        with self._starting:
            if not self._over.is_set():
                self._start(number, min(2 * pause, _LONGEST))

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + self._start_limit
        waiting = dict(self._running)
        while waiting:
            for number, process in list(waiting.items()):
                one = self._programs[number]
                if process.code is not None:
                    raise JobError(
                        f"{one.name} ended with code {process.code} before it was ready: "
                        f"{process.last_line() or 'it printed nothing'} (see {process.log})"
                    )
                if one.ready():
                    del waiting[number]
            if waiting and time.monotonic() >= end:
                one = self._programs[next(iter(waiting))]
                raise JobError(
                    f"{one.name} is not ready after {self._start_limit:g} s (see {one.log})"
                )
            time.sleep(_LOOK if waiting else 0)

    def _stop_all(self) -> None:
        with self._starting:
            self._over.set()
        for process in self._running.values():
            process.terminate()
        end = time.monotonic() + self._stop_limit
        for number, process in self._running.items():
            if process.wait(max(0.0, end - time.monotonic())) is None:
                process.kill()
                self._programs[number].clean_up()
