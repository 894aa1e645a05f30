"""A connection to an agent on another host, through any command that gives a shell there."""

from __future__ import annotations

import base64
import contextlib
import os
import queue
import secrets
import shlex
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hwnas.device._remote.bundle import agent_program
from hwnas.device._remote.frames import decode, encode
from hwnas.device._worker.process import WorkerLost
from hwnas.errors import DeviceError

if TYPE_CHECKING:
    from hwnas.device._worker.process import Reply

_OLDEST = (3, 8)
_SLOWEST = 50e3  # bytes per second that any connection should manage
_PATIENCE = 3.0  # seconds in which a command whose input has ended should end, too

# The first line to the shell: short, since terminals cut lines at 4096 characters, in quotes that
# all shells know, and in words that Python 2 understands. It makes a terminal transparent, tells
# the version, and runs the program that comes as the next line. The mark is put together there, so
# that an echo of this line does not look like it.
_FIRST = (
    "import sys,os,base64;"
    'os.isatty(0) and __import__("tty").setraw(0);'
    'sys.stdout.write(chr(10)+"#hwnas-"+"{key}-python %d %d"%sys.version_info[:2]+chr(10));'
    "sys.stdout.flush();"
    "exec(base64.b64decode(sys.stdin.readline()))"
)


class ConnectionLost(DeviceError):
    """The connection was cut, or the other side fell silent; `model` is the one being loaded."""

    def __init__(self, message: str, model: int | None = None) -> None:
        super().__init__(message)
        self.model = model


class Connection:
    """An agent on the other side of `command`; not thread safe.

    Args:
        command: gives a shell, as in `ssh pi@board`.
        python: the Python there.
        session: the module of the runtime that is sent there.
        limit: seconds for an answer that needs no work.

    Attributes:
        where: what the other side was at, as far as is known.

    Raises:
        DeviceError: the other side cannot be reached, or has no Python.
    """

    def __init__(self, command: Sequence[str], python: str, session: str, limit: float) -> None:
        self._command, self._python, self._limit = command, python, limit
        self.where = "while connecting"
        self._key = secrets.token_hex(8)
        self._stderr = tempfile.TemporaryFile(mode="a+b", prefix="hwnas-")  # noqa: SIM115
        self._heard: deque[bytes] = deque(maxlen=20)
        self._events: queue.Queue[Reply | None] = queue.Queue()
        pipe = subprocess.PIPE
        try:
            # A session of its own: Ctrl-C does not reach it, and it cannot ask for passwords.
            self._child = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=self._stderr, start_new_session=True
            )
        except OSError as error:
            self._stderr.close()
            raise DeviceError(f"cannot start '{command[0]}': {error.strerror}") from error
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._greet(session)
        except BaseException:
            self.close()
            raise

    def request(self, header: Mapping[str, Any], parts: Sequence[bytes] = ()) -> Reply:
        """Send a request and wait for its answer.

        Raises:
            ConnectionLost: there is none; this connection is of no use any more.
            WorkerLost: a model killed the measuring process there, or took too long.
            DeviceError: what the agent reports.
        """
        try:
            return self._request(encode(self._key, header, parts))
        except DeviceError as error:
            if isinstance(error, ConnectionLost):
                self.close()
            raise
        except BaseException:
            self.close()  # an interrupted request would be answered late
            raise

    def _request(self, data: bytes) -> Reply:
        self._send(data)
        self.where, model = "after the request was sent", None
        limit: float | None = self._limit
        while True:
            try:
                reply, outputs = self._next(limit)
            except ConnectionLost as lost:
                raise ConnectionLost(f"{self.where}: {lost}", model) from None
            if reply["event"] == "lost":
                raise WorkerLost(reply["message"], reply["kind"], reply["model"])
            if reply["event"] == "error":
                raise DeviceError(reply["message"])
            if reply["event"] != "step":
                self.where = "between two requests"
                return reply, outputs
            self.where, model = reply["where"], reply.get("model")
            limit = None if reply["limit"] is None else reply["limit"] + self._limit

    def close(self) -> None:
        """End the connection; the other side cleans up by itself. May be called twice."""
        assert self._child.stdin is not None
        watch = threading.Timer(_PATIENCE, self._kill)
        watch.daemon = True
        watch.start()
        with contextlib.suppress(OSError):  # what was not sent cannot be flushed
            self._child.stdin.close()
        self._reader.join()
        watch.cancel()
        self._stderr.close()

    def _greet(self, session: str) -> None:
        first = _FIRST.format(key=self._key)
        self._send(f"exec {self._python} -c '{first}'; exit 127\n".encode())
        try:
            hello, _ = self._next(self._limit)
            version = tuple(hello["version"])
            if version < _OLDEST:
                raise DeviceError(
                    f"'{self._python}' on the other side is Python {version[0]}.{version[1]}; "
                    "3.8 or newer is needed: name another one, as in python='python3.11'"
                )
            self._send(base64.b64encode(agent_program(session, self._key)) + b"\n")
            self._next(self._limit)
        except ConnectionLost as lost:
            raise DeviceError(f"cannot reach the other side: {lost}") from lost

    def _next(self, limit: float | None) -> Reply:
        try:
            message = self._events.get(timeout=limit)
        except queue.Empty:
            raise ConnectionLost(
                f"no answer from '{shlex.join(self._command)}' within {limit:g} s{self._told()}"
            ) from None
        if message is None:
            raise ConnectionLost(self._fate())
        return message

    def _send(self, data: bytes) -> None:
        """Write, unless the other side stops reading; what became of it is told by the reader."""
        assert self._child.stdin is not None
        watch = threading.Timer(self._limit + len(data) / _SLOWEST, self._kill)
        watch.daemon = True
        watch.start()
        try:
            with contextlib.suppress(OSError, ValueError):
                self._child.stdin.write(data)
                self._child.stdin.flush()
        finally:
            watch.cancel()

    def _read(self) -> None:
        assert self._child.stdout is not None
        mark = f"#hwnas-{self._key}-python ".encode()
        try:
            for line in self._child.stdout:
                if mark in line:
                    version = [int(part) for part in line.partition(mark)[2].split()]
                    self._events.put(({"event": "python", "version": version}, []))
                elif message := decode(self._key, line):
                    self._events.put(message)
                else:
                    self._heard.append(line)
        except (OSError, ValueError) as error:
            self._heard.append(str(error).encode())
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(_PATIENCE)  # its exit code tells why
            self._kill()
            self._child.stdout.close()
            self._events.put(None)

    def _kill(self) -> None:
        """Kill the command and whatever it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def _fate(self) -> str:
        code = self._child.wait()
        last = self._told()
        if code == 127 and self._python in last:
            return (
                f"there is no '{self._python}' there{last}; install Python 3.8 or newer, "
                "or say where it is, as in python='/usr/local/bin/python3'"
            )
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"'{shlex.join(self._command)}' ended ({how}){last}"

    def _told(self) -> str:
        """The last lines that the command wrote to standard error, or else to standard output."""
        self._stderr.seek(0)
        for data in (self._stderr.read()[-2000:], b"".join(self._heard)[-2000:]):
            lines = [line.strip() for line in data.decode(errors="replace").splitlines()]
            if last := " | ".join(line for line in lines if line)[-300:]:
                return f": {last}"
        return ""
