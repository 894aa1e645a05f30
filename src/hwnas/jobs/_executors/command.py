"""A command per trial: how Slurm, Kubernetes or a shell elsewhere trains."""

from __future__ import annotations

import os
import re
import shlex
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from hwnas._process import Message
from hwnas.errors import JobError, StoreError, describe
from hwnas.jobs._executors.attempt import Attempt, Order, Outcome, Report
from hwnas.jobs._executors.base import NOT_KEPT, Executor, ExecutorOptions
from hwnas.jobs._executors.followed import Followed
from hwnas.jobs._executors.references import References
from hwnas.jobs._folder.trial_folder import TrialFolder

if TYPE_CHECKING:
    from hwnas.jobs._folder.spec import JobSpec

_PLACES = ("trial", "job", "number", "attempt")
_PLACE = re.compile(r"(?<!\$)\{([a-z_]+)\}")
_UNTRAINABLE = "untrainable"
_IN_NO_SHELL = set("\"'`$\\\n!")


class CommandOptions(ExecutorOptions):
    """`command?lease=30&detached=true&threads=1:TEMPLATE`.

    Attributes:
        template: a shell command with `{trial}`, or with `{job}` and `{number}`.
        lease: seconds without a sign of life after which a trial is stale; 3 at least.
        detached: the command hands the trial on and ends, as `sbatch` does.
        threads: of each trial; by default as many as its process may use.
    """

    template: str
    lease: float = Field(default=30.0, ge=3)
    detached: bool = False
    threads: int | None = Field(default=None, ge=1)

    @field_validator("template")
    @classmethod
    def _of_places(cls, text: str) -> str:
        places = set(_PLACE.findall(text))
        if unknown := sorted(places - set(_PLACES)):
            known = ", ".join(f"{{{name}}}" for name in _PLACES)
            raise ValueError(f"'{{{unknown[0]}}}' is not known; there are {known}")
        if "trial" not in places and not {"job", "number"} <= places:
            raise ValueError("it needs {trial}, the command that trains a trial")
        return text


@dataclass
class CommandExecutor(Executor):
    """Runs a command per trial, and follows the trial through the job's store.

    The command runs `hwnas trial` somewhere, which trains one attempt (see `Attempt`). Attempts
    are numbered; only the last one counts, and it has one outcome. A coordinator that is resumed
    follows the attempts that still live, so no trial is trained twice at once. The process that
    trains keeps the time limit.
    """

    Options = CommandOptions
    text_option = "template"

    options: CommandOptions
    _runs: dict[int, Followed] = field(init=False, default_factory=dict)
    _followers: dict[threading.Thread, Followed] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._command(0, 0)  # refuses what no template can hold

    @classmethod
    def check(cls, options: ExecutorOptions, spec: JobSpec) -> None:
        """Refuse a request whose space or trainer has no name.

        Raises:
            JobError: trials elsewhere could not import it.
        """
        References.of(spec)

    def stop(self, number: int) -> None:
        """Ask a trial to end early; one that still waits in a scheduler's queue never begins."""
        if number not in self._runs:
            return
        attempt = self._runs[number].attempt
        attempt.ask_to_stop()
        if not attempt.begun:
            reason = "it was asked to stop before it began"
            attempt.end(Outcome(status="failed", kind="stale", reason=reason))

    def close(self) -> None:
        """End every command, and wait until the trials have ended wherever they run."""
        for run in self._runs.values():
            run.attempt.end(Outcome(status="cancelled"))
        for run in self._followers.values():
            run.abandoned.set()
        for follower in self._followers:
            follower.join()
        self._runs.clear()

    def _start(self, number: int, arch: Mapping[str, Any], folder: TrialFolder) -> None:
        last = Attempt.last(self.job, number)
        going_on = last is not None and _open(last)
        attempt = last if last is not None and going_on else self._ordered(number, last, arch)
        run = Followed(attempt, folder, self.options.lease, self.options.detached)
        if not going_on:
            run.run(self._command(number, attempt.number))
        self._runs[number] = run
        follower = threading.Thread(target=self._follow, args=(run,), daemon=True)
        self._followers = {one: its for one, its in self._followers.items() if one.is_alive()}
        self._followers[follower] = run
        follower.start()

    def _ordered(self, number: int, last: Attempt | None, arch: Mapping[str, Any]) -> Attempt:
        """The attempt after `last`."""
        attempt = Attempt(self.job, number, last.number + 1 if last else 1)
        order = Order(
            arch=dict(arch),
            seed=self.training.seed,
            metric=self.training.metric,
            exports={name: tuple(shape) for name, shape in self.training.exports.items()},
            timeout=self.timeout,
            lease=self.options.lease,
            threads=self.options.threads,
        )
        attempt.give(order)
        return attempt

    def _command(self, trial: int, number: int) -> str:
        job = self.job.address
        words = [
            *(sys.executable, "-m", "hwnas", "trial", "--job", job),
            *("--trial", str(trial), "--attempt", str(number), "--cwd", os.getcwd()),
        ]
        if unsafe := [word for word in words if _IN_NO_SHELL & set(word)]:
            raise JobError(f"'{unsafe[0]}' has characters that a command's template cannot hold")
        known = {
            "trial": shlex.join(words),
            "job": shlex.quote(job),
            "number": str(trial),
            "attempt": str(number),
        }
        return _PLACE.sub(lambda found: known[found[1]], self.options.template)

    def _follow(self, run: Followed) -> None:
        """In a thread of its own: tell what happens to an attempt, until it is over."""
        number = run.attempt.trial
        try:
            outcome = run.outcome(lambda report: self._report(number, report))
            if outcome.status != "cancelled":
                run.collect(outcome)
        except (StoreError, OSError) as error:
            outcome = Outcome(status="failed", kind=NOT_KEPT, reason=describe(error))
        if outcome.status == "done" and outcome.result is not None:
            self.events.put({"type": "done", "trial": number, **outcome.result.model_dump()})
        elif outcome.status != "cancelled":
            kind = _UNTRAINABLE if outcome.status == "broken" else "failed"
            told = {"kind": outcome.kind, "reason": outcome.reason}
            self.events.put({"type": kind, "trial": number, **told})
        run.finish()

    def _report(self, number: int, report: Report) -> None:
        self.events.put({"type": "report", "trial": number, **report.model_dump()})

    def _digest(self, message: Message) -> Message | None:
        if message["type"] in ("done", "failed"):
            self._runs.pop(message["trial"], None)
        if message["type"] == _UNTRAINABLE:
            raise JobError(f"trial {message['trial']} cannot be trained: {message['reason']}")
        return message


def _open(attempt: Attempt) -> bool:
    """Whether an attempt of an earlier coordinator has a result, or may get one."""
    if not attempt.begun:
        attempt.end(Outcome(status="cancelled"))  # it never will begin
    outcome = attempt.outcome()
    return outcome is None or outcome.status == "done"
