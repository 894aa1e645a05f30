"""Latency calculators that are started and stopped with a job."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from hwnas._kept import Kept
from hwnas.errors import JobError
from hwnas.vertex._flags import as_words
from hwnas.vertex._programs import Launch, Program

_LOOK = 0.1  # seconds between looks


class Calculators:
    """The calculators of a job: they run inside the `with` block.

    Entered, all of them are ready, or none is left running. At the end each is asked to end, which
    the ready ones do after the model in hand, and killed if it does not.

    Args:
        program: of a calculator.
        flags: for each; `latency_worker_id` and `num_latency_workers` are added.
        count: how many.
        env: variables for them.
        logs: a folder for what they print.
        ready: whether the calculator of a number has said that it looks for models.
        start_limit: seconds within which all must be ready.
        stop_limit: seconds from being asked to end to being killed.

    Raises:
        JobError: on entering, one of them cannot be started, or ends, or is not ready in time.
    """

    def __init__(
        self,
        program: Program,
        flags: Mapping[str, object],
        *,
        count: int,
        env: Mapping[str, str],
        logs: Path,
        ready: Callable[[int], bool],
        start_limit: float = 120.0,
        stop_limit: float = 30.0,
    ) -> None:
        self._program, self._flags, self._count = program, dict(flags), count
        self._env, self._logs, self._ready = env, logs, ready
        self._start_limit, self._stop_limit = start_limit, stop_limit
        self._running: list[tuple[Kept, Launch]] = []

    def __enter__(self) -> Calculators:
        self._program.check()
        try:
            for number in range(self._count):
                self._start(number)
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

    def _start(self, number: int) -> None:
        place = {"latency_worker_id": number, "num_latency_workers": self._count}
        launch = self._program.launch(as_words({**self._flags, **place}), self._env)
        log = self._logs / f"latency_calculator_{number}.log"
        self._running.append((Kept(launch.argv, env=launch.env, log=log), launch))

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + self._start_limit
        waiting = set(range(self._count))
        while waiting:
            for number in sorted(waiting):
                process = self._running[number][0]
                if process.code is not None:
                    raise JobError(
                        f"latency calculator {number} ended with code {process.code} before it "
                        f"was ready: {process.last_line() or 'it printed nothing'} "
                        f"(see {process.log})"
                    )
                if self._ready(number):
                    waiting.discard(number)
            if waiting and time.monotonic() >= end:
                log = self._running[min(waiting)][0].log
                raise JobError(
                    f"latency calculator {min(waiting)} is not ready after "
                    f"{self._start_limit:g} s (see {log})"
                )
            time.sleep(_LOOK if waiting else 0)

    def _stop_all(self) -> None:
        for process, _ in self._running:
            process.terminate()
        end = time.monotonic() + self._stop_limit
        for process, launch in self._running:
            if process.wait(max(0.0, end - time.monotonic())) is None:
                process.kill()
                launch.clean_up()
        self._running.clear()
