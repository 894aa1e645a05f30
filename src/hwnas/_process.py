"""Child processes that speak JSON lines over their own pipes and die with their parent."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Message = dict[str, Any]


class Child:
    """The parent's end: a process running `python -m module` in a process group of its own.

    `on_message(child, message)` is called from a reader thread for each message, and once with
    None when the process has closed its pipe, which is how its end is noticed.
    """

    def __init__(
        self,
        module: str,
        on_message: Callable[[Child, Message | None], None],
        *,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        with open(log or os.devnull, "ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        self._on_message = on_message
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._on_message(self, json.loads(line))
        self.process.wait()
        self._on_message(self, None)

    def send(self, message: Message) -> bool:
        """Send a message; False where the process is gone."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return False
        return True

    def kill(self) -> None:
        """End the process and whatever it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(timeout=5)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


class Channel:
    """The child's end. Standard output carries messages; what the child prints goes to its log."""

    def __init__(self) -> None:
        die_with_parent()
        self._out = os.fdopen(os.dup(1), "wb")
        self._in = os.fdopen(os.dup(0), "rb")
        os.dup2(2, 1)
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        self._lock = threading.Lock()
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.stop_requested = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._in:
            message = json.loads(line)
            if message.get("type") == "stop":
                self.stop_requested.set()
            else:
                self._inbox.put(message)
        # The parent is gone, or wants us gone: take the processes that we started along.
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def receive(self) -> Message:
        """The next message; waits."""
        return self._inbox.get()

    def send(self, message: Message) -> None:
        """Send a message; values must be JSON."""
        data = json.dumps(message, allow_nan=False).encode() + b"\n"
        with self._lock:
            self._out.write(data)
            self._out.flush()


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent's thread ends, however it ends."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
