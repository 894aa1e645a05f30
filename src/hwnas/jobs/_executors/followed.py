"""An attempt that somebody's command trains, followed through the job's store until it is over."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hwnas._files import write_text
from hwnas.jobs._executors.attempt import Attempt, Outcome, Report
from hwnas.jobs._folder.trial_folder import LOG, TrialFolder
from hwnas.jobs._store.lease import Watch
from hwnas.jobs._store.manifest import MANIFEST

_PRINTED = "command.log"
_LOG_BYTES = 1 << 22
_LOOK = 0.2  # seconds between two looks at a trial
_LOOK_ELSEWHERE = 1.0  # the same in a store, where each look costs
_GRACE = 10.0  # seconds for commands to end when they are asked to


@dataclass
class Followed:
    """An attempt and its command, which an attempt of an earlier coordinator has no more.

    Args:
        attempt: what is followed.
        folder: of the trial, which takes over what the attempt leaves.
        lease: seconds without a sign of life after which the attempt is stale.
        detached: whether the command may end before the attempt does.
    """

    attempt: Attempt
    folder: TrialFolder
    lease: float
    detached: bool
    abandoned: threading.Event = field(default_factory=threading.Event)
    """Set when nobody wants the attempt any more."""
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)
    _stale: bool = field(init=False, default=False)

    def run(self, command: str) -> None:
        """Start the command, in a session of its own."""
        self.attempt.folder.mkdir(parents=True, exist_ok=True)
        with open(self.attempt.folder / _PRINTED, "ab") as log:
            self._process = subprocess.Popen(
                command,
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def outcome(self, on_report: Callable[[Report], None]) -> Outcome:
        """Wait until the attempt has an outcome, or give it up: the outcome that counts.

        Raises:
            StoreError: the store is out of reach.
        """
        watch, told, begun, looked = Watch(), 0, False, time.monotonic()
        elsewhere = self.attempt.job.place.url is not None
        while True:
            code = self._process.poll() if self._process else None
            outcome = self.attempt.outcome()
            reports = self.attempt.told()
            for report in reports[told:]:
                on_report(report)
            told = len(reports)
            begun = begun or self.attempt.begun
            if outcome is not None:
                return outcome
            if time.monotonic() - looked > self.lease:
                watch = Watch()  # the store was away, for the trial's process as well
            looked = time.monotonic()
            if begun and watch.silence(self.attempt.beat, self.attempt.alive()) >= self.lease:
                return self._give_up_stale(code)
            if not begun and code is not None and not (code == 0 and self.detached):
                return self._give_up_unbegun(code)
            self.abandoned.wait(_LOOK_ELSEWHERE if elsewhere else _LOOK)

    def collect(self, outcome: Outcome) -> None:
        """Take over the logs of the attempt, and if it is done, all of its files.

        What is there already is replaced: this may have been cut off before.

        Raises:
            StoreError: the store is out of reach, or a file is damaged.
        """
        files, target = self.attempt.files, self.folder
        target.begin()
        manifest = files.manifest() if outcome.status == "done" else None
        if manifest is not None:
            files.fetch([entry.path for entry in manifest.files])
        logs = (target.last_log(_LOG_BYTES), self._printed(), files.last_log(_LOG_BYTES))
        write_text(target.log, "".join(logs))
        if manifest is None:
            rows = "".join(f"{report.model_dump_json()}\n" for report in self.attempt.told())
            write_text(target.metrics, rows)
            target.leave()
            return
        left = shutil.ignore_patterns(LOG, MANIFEST)
        shutil.copytree(files.folder, target.folder, True, left, _link, dirs_exist_ok=True)
        target.publish()
        self.attempt.discard_all()

    def finish(self) -> None:
        """See to it that the command ends; at once, if nobody wants it any more."""
        end = time.monotonic() + _GRACE
        while not self._over and not self.abandoned.wait(_LOOK / 4) and time.monotonic() < end:
            pass
        self._signal(signal.SIGTERM)
        end = time.monotonic() + _GRACE
        while not self._over and time.monotonic() < end:
            time.sleep(_LOOK / 4)
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    @property
    def _over(self) -> bool:
        """Whether the command has ended, and the trial shows no life elsewhere."""
        ended = self._process is None or self._process.poll() is not None
        return ended and (self._stale or self.attempt.alive() is None)

    def _signal(self, number: int) -> None:
        """To the command and whatever it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _give_up_stale(self, code: int | None) -> Outcome:
        self._stale = True
        self.abandoned.set()
        ended = "" if code is None else f"; its command ended with exit code {code}"
        reason = f"no sign of life for {self.lease:g} s{ended}"
        return self.attempt.end(Outcome(status="failed", kind="stale", reason=reason))

    def _give_up_unbegun(self, code: int) -> Outcome:
        reason = f"the command ended with exit code {code} before it trained"
        if said := self._printed().strip().splitlines():
            reason += f": {said[-1].strip()}"
        return self.attempt.end(Outcome(status="failed", kind="exit", reason=reason))

    def _printed(self) -> str:
        path = self.attempt.folder / _PRINTED
        return path.read_bytes()[-_LOG_BYTES:].decode(errors="replace") if path.is_file() else ""


def _link(source: str, target: str) -> None:
    """Checkpoints may be large; the other name goes soon."""
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
