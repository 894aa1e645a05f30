"""Programs that run beside this process, and end when it does, however it ends.

`python -m hwnas._kept PARENT WORD...` is what they are started by: it becomes the program.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hwnas._pipes import die_with_parent


class Kept:
    """A program in a process group of its own; what it prints goes to `log`.

    To be started in a thread that lives as long as the program is to run: on Linux it gets SIGTERM
    when that thread ends.

    Args:
        argv: its words; the first is a path.
        env: variables to add to those that there are.
    """

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str], log: Path) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(os.getpid()), *argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                start_new_session=True,
            )

    @property
    def code(self) -> int | None:
        """The exit code; None as long as it runs."""
        return self._process.poll()

    def last_line(self) -> str:
        """The last line that it printed."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code; None if it still runs after so long."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def terminate(self) -> None:
        """Ask it to end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all that it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]), signal.SIGTERM)
    os.execv(sys.argv[2], sys.argv[2:])
