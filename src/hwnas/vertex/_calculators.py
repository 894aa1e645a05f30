"""Latency calculators that are started and stopped with a job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from hwnas.jobs import Companion, Companions
from hwnas.vertex._flags import as_words
from hwnas.vertex._programs import Program


class Calculators(Companions):
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
        JobError: the program is not there; or on entering, one of them cannot be started, or ends,
            or is not ready in time.
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
        program.check()
        programs = []
        for number in range(count):
            place = {"latency_worker_id": number, "num_latency_workers": count}
            launch = program.launch(as_words({**flags, **place}), env)
            programs.append(
                Companion(
                    name=f"latency calculator {number}",
                    argv=launch.argv,
                    env=launch.env,
                    log=logs / f"latency_calculator_{number}.log",
                    ready=partial(ready, number),
                    clean_up=launch.clean_up,
                )
            )
        super().__init__(programs, start_limit=start_limit, stop_limit=stop_limit)
