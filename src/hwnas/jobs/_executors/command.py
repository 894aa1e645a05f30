"""A command per trial: how Slurm, Kubernetes or a shell elsewhere trains."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from hwnas._files import write_text
from hwnas._process import Message
from hwnas.errors import JobError, StoreError, describe
from hwnas.jobs._executors.attempt import Attempt, Order, Outcome
from hwnas.jobs._executors.base import NOT_KEPT, Executor, ExecutorOptions
from hwnas.jobs._executors.references import References
from hwnas.jobs._store.lease import Watch
from hwnas.jobs._store.manifest import MANIFEST
from hwnas.jobs._trial_folder import LOG, METRICS, TrialFolder

if TYPE_CHECKING:
    from hwnas.jobs._spec import JobSpec

_PLACES = ("trial", "job", "number", "attempt")
_PLACE = re.compile(r"(?<!\$)\{([a-z_]+)\}")
_IN_NO_SHELL = set("\"'`$\\\n!")
_LOG = "command.log"
_LOG_BYTES = 1 << 22
_LOOK = 0.2  # seconds between two looks at a trial
_LOOK_ELSEWHERE = 1.0  # the same in a store, where each look costs
_GRACE = 10.0  # seconds for commands to end when they are asked to


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
class _Run:
    """An attempt that is followed; `process` is None for one that an earlier coordinator began."""

    attempt: Attempt
    folder: TrialFolder
    process: subprocess.Popen[bytes] | None = None
    abandoned: threading.Event = field(default_factory=threading.Event)
    stale: bool = False

    @property
    def over(self) -> bool:
        """Whether the command has ended, and the trial shows no life elsewhere."""
        ended = self.process is None or self.process.poll() is not None
        return ended and (self.stale or self.attempt.alive() is None)

    def signal(self, number: int) -> None:
        """To the command and whatever it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def finish(self) -> None:
        """See to it that the command ends; at once, if nobody wants it any more."""
        end = time.monotonic() + _GRACE
        while not self.over and not self.abandoned.wait(_LOOK / 4) and time.monotonic() < end:
            pass
        self.signal(signal.SIGTERM)
        end = time.monotonic() + _GRACE
        while not self.over and time.monotonic() < end:
            time.sleep(_LOOK / 4)
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()


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
    _runs: dict[int, _Run] = field(init=False, default_factory=dict)
    _followers: dict[threading.Thread, _Run] = field(init=False, default_factory=dict)

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
        if last is not None and _open(last):
            run = _Run(last, folder)
        else:
            attempt = Attempt(self.job, number, last.number + 1 if last else 1)
            run = self._launch(attempt, arch, folder)
        self._runs[number] = run
        follower = threading.Thread(target=self._follow, args=(run,), daemon=True)
        self._followers = {one: its for one, its in self._followers.items() if one.is_alive()}
        self._followers[follower] = run
        follower.start()

    def _launch(self, attempt: Attempt, arch: Mapping[str, Any], folder: TrialFolder) -> _Run:
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
        attempt.folder.mkdir(parents=True, exist_ok=True)
        with open(attempt.folder / _LOG, "ab") as log:
            process = subprocess.Popen(
                self._command(attempt.trial, attempt.number),
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return _Run(attempt, folder, process)

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

    def _follow(self, run: _Run) -> None:
        """In a thread of its own: tell what happens to an attempt, until it is over."""
        number = run.attempt.trial
        try:
            outcome = self._outcome(run)
            if outcome.status != "cancelled":
                _collect(run, whole=outcome.status == "done")
        except (StoreError, OSError) as error:
            outcome = Outcome(status="failed", kind=NOT_KEPT, reason=describe(error))
        if outcome.status == "done" and outcome.result is not None:
            self.events.put({"type": "done", "trial": number, **outcome.result.model_dump()})
        elif outcome.status != "cancelled":
            told = {"kind": outcome.kind, "reason": outcome.reason}
            self.events.put({"type": outcome.status, "trial": number, **told})
        run.finish()

    def _outcome(self, run: _Run) -> Outcome:
        attempt, watch = run.attempt, Watch()
        told, begun, looked = 0, False, time.monotonic()
        while True:
            code = run.process.poll() if run.process else None
            outcome = attempt.outcome()
            reports = attempt.told()
            for report in reports[told:]:
                self.events.put({"type": "report", "trial": attempt.trial, **report.model_dump()})
            told = len(reports)
            begun = begun or attempt.begun
            ended = "" if code is None else f"; its command ended with exit code {code}"
            if outcome is not None:
                return outcome
            if time.monotonic() - looked > self.options.lease:
                watch = Watch()  # the store was away, for the trial's process as well
            looked = time.monotonic()
            if begun:
                silence = watch.silence(attempt.beat, attempt.alive())
                if silence >= self.options.lease:
                    reason = f"no sign of life for {self.options.lease:g} s{ended}"
                    run.stale = True
                    run.abandoned.set()
                    return attempt.end(Outcome(status="failed", kind="stale", reason=reason))
            elif code is not None and not (code == 0 and self.options.detached):
                reason = f"the command ended with exit code {code} before it trained"
                if said := _last_line(attempt.folder / _LOG):
                    reason += f": {said}"
                return attempt.end(Outcome(status="failed", kind="exit", reason=reason))
            run.abandoned.wait(_LOOK if attempt.job.place.url is None else _LOOK_ELSEWHERE)

    def _digest(self, message: Message) -> Message | None:
        if message["type"] in ("done", "failed"):
            self._runs.pop(message["trial"], None)
        if message["type"] == "broken":
            raise JobError(f"trial {message['trial']} cannot be trained: {message['reason']}")
        return message


def _open(attempt: Attempt) -> bool:
    """Whether an attempt of an earlier coordinator has a result, or may get one."""
    if not attempt.begun:
        attempt.end(Outcome(status="cancelled"))  # it never will begin
    outcome = attempt.outcome()
    return outcome is None or outcome.status == "done"


def _collect(run: _Run, *, whole: bool) -> None:
    """Take over the logs of an attempt, and if it is done, all of its files.

    What is there already is replaced: this may have been cut off before.
    """
    files, target = run.attempt.files, run.folder
    target.begin()
    manifest = files.manifest() if whole else None
    if manifest is not None:
        files.fetch([entry.path for entry in manifest.files])
    printed = _content(run.attempt.folder / _LOG).decode(errors="replace")
    logs = (target.last_log(_LOG_BYTES), printed, files.last_log(_LOG_BYTES))
    write_text(target.folder / LOG, "".join(logs))
    if manifest is None:
        rows = "".join(f"{report.model_dump_json()}\n" for report in run.attempt.told())
        write_text(target.folder / METRICS, rows)
        target.leave()
        return
    left = shutil.ignore_patterns(LOG, MANIFEST)
    shutil.copytree(files.folder, target.folder, True, left, _link, dirs_exist_ok=True)
    target.publish()
    run.attempt.discard_all()


def _link(source: str, target: str) -> None:
    """Checkpoints may be large; the other name goes soon."""
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _last_line(path: Path) -> str:
    lines = _content(path)[-1000:].decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
