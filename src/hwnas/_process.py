"""Child processes that report what happens, and die with their parent."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hwnas._pipes import die_with_parent, private_pipes, receive, send

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
        env: Mapping[str, str],
        log: Path,
    ) -> None:
        with open(log, "ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **env},
                start_new_session=True,
            )
        self._on_message = on_message
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(EOFError, OSError, ValueError):  # it ended, or was closed here
            while True:
                self._on_message(self, receive(self.process.stdout)[0])
        self.process.wait()
        self._on_message(self, None)

    def send(self, message: Message, parts: Sequence[bytes] = ()) -> None:
        """Send a message. Nothing happens where the process is gone: its end is told otherwise."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            send(self.process.stdin, message, parts)

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
    """The child's end. Standard output carries messages; what the child prints goes to its log.

    When the parent ends, the kernel kills this process at once, unless `at_once` is False. Then it
    sees its pipe close, and kills its whole process group: for one that must leave nobody behind,
    and never holds on to the interpreter for long.
    """

    def __init__(self, *, at_once: bool = True) -> None:
        self._in, self._out = private_pipes()
        if at_once:
            die_with_parent(int(sys.argv[1]))
        self._lock = threading.Lock()
        self._inbox: queue.SimpleQueue[tuple[Message, list[bytes]]] = queue.SimpleQueue()
        self.stop_requested = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                message, parts = receive(self._in)
                if message.get("type") == "stop":
                    self.stop_requested.set()
                else:
                    self._inbox.put((message, parts))
        # The parent is gone, or wants us gone: take the processes that we started along.
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def receive(self) -> tuple[Message, list[bytes]]:
        """The next message and its parts; waits."""
        return self._inbox.get()

    def send(self, message: Message) -> None:
        """Send a message; values must be JSON."""
        with self._lock:
            send(self._out, message)
