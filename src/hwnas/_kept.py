"""Programs that run beside this process, and end when it does, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hwnas import _guard


class Kept:
    """A program in a process group of its own; what it prints goes to `log`.

    When this process ends, the group gets SIGTERM, and SIGKILL after some seconds. When the program
    ends, what it has left running is killed.

    Args:
        argv: its words. A program that cannot be started ends with code 127 or 126.
        env: variables to add to those that there are.
        on_end: called once with the exit code, from a thread of its own, when all has ended; a
            negative code is the signal that killed the program.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        on_end: Callable[[int], None] = lambda code: None,
    ) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", _guard.__file__, *argv],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                start_new_session=True,
            )
        self._on_end = on_end
        self._waiting = threading.Thread(target=self._wait, daemon=True)
        self._waiting.start()

    @property
    def code(self) -> int | None:
        """The exit code; None as long as it runs."""
        return self._process.poll()

    def last_line(self) -> str:
        """The last line that it printed."""
        with contextlib.suppress(OSError), open(self.log, "rb") as printed:
            printed.seek(max(0, self.log.stat().st_size - 4096))
            lines = printed.read().decode(errors="replace").strip().splitlines()
            return lines[-1].strip() if lines else ""
        return ""

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code; None if it still runs after so long."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def terminate(self) -> None:
        """Ask it, and all that it started, to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all that it started, at once."""
        self._signal(signal.SIGKILL)
        self._waiting.join()

    def _wait(self) -> None:
        code = self._process.wait()
        self._signal(signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._on_end(code)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
