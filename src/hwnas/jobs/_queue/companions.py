"""Programs that run beside a job: ready before its first trial, ended with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from hwnas._kept import Kept
from hwnas.errors import JobError

_LOOK = 0.1  # seconds between looks


@dataclass(frozen=True)
class Companion:
    """One of them.

    Attributes:
        name: what messages call it.
        argv: its words.
        log: where what it prints goes.
        ready: whether it has begun its work.
        env: variables to add to those that there are.
        clean_up: called when it was killed: what it began elsewhere would live on.
    """

    name: str
    argv: Sequence[str]
    log: Path
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    clean_up: Callable[[], None] = lambda: None


class Companions:
    """Programs that run inside the `with` block.

    Entered, all of them are ready, or none is left running. At the end each is asked to end by
    SIGTERM, and killed with all that it started if it does not. They end with this process, too,
    however that ends.

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
        self._running: list[tuple[Companion, Kept]] = []

    def __enter__(self) -> Companions:
        try:
            for one in self._programs:
                self._running.append((one, Kept(one.argv, env=one.env, log=one.log)))
            self._wait_until_ready()
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

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + self._start_limit
        waiting = list(self._running)
        while waiting:
            for one, process in list(waiting):
                if process.code is not None:
                    raise JobError(
                        f"{one.name} ended with code {process.code} before it was ready: "
                        f"{process.last_line() or 'it printed nothing'} (see {process.log})"
                    )
                if one.ready():
                    waiting.remove((one, process))
            if waiting and time.monotonic() >= end:
                one, process = waiting[0]
                raise JobError(
                    f"{one.name} is not ready after {self._start_limit:g} s (see {process.log})"
                )
            time.sleep(_LOOK if waiting else 0)

    def _stop_all(self) -> None:
        for _, process in self._running:
            process.terminate()
        end = time.monotonic() + self._stop_limit
        for one, process in self._running:
            if process.wait(max(0.0, end - time.monotonic())) is None:
                process.kill()
                one.clean_up()
        self._running.clear()
