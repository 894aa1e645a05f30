"""A worker process and its life: started, spoken to, timed out, reaped.

Also runs on hosts that have no hwnas: see `_remote/bundle.py`.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hwnas._pipes import receive, send
from hwnas.device._paths import cache_folder
from hwnas.device._timing.memory import memory_kills
from hwnas.errors import DeviceError, ModelFault

if TYPE_CHECKING:
    from typing import TypeAlias

    Reply: TypeAlias = tuple[dict[str, Any], list[bytes]]  # a message: its header, binary parts

START_LIMIT = 300.0
"""Seconds: importing a library, exporting or compiling the canary, on a busy host."""


class WorkerLost(ModelFault):
    """The worker died, or was killed at the time limit; `model` is the one it was loading."""

    def __init__(self, message: str, kind: str, model: int | None) -> None:
        super().__init__(message, kind)
        self.model = model


def silent(step: dict[str, Any]) -> None:
    """Whoever does not care which step a worker has come to."""


class WorkerProcess:
    """One worker; not thread safe. After a DeviceError with `alive` False it is gone for good.

    Args:
        module: what `python -m` runs.
        settings, parts: the first message to it.

    Attributes:
        greeting: binary parts of its answer.
    """

    def __init__(
        self, module: str, settings: Mapping[str, Any], parts: Sequence[bytes] = ()
    ) -> None:
        self._module = module
        # A file, not a pipe: nobody has to read along, and a chatty model cannot block.
        self._stderr = tempfile.TemporaryFile(mode="a+b", prefix="hwnas-")  # noqa: SIM115
        self._events: queue.Queue[Reply | BaseException] = queue.Queue()
        started: queue.Queue[subprocess.Popen[bytes] | OSError] = queue.Queue()
        # The kernel ties a child to the thread that started it, not to the process, so a thread
        # that lives as long as the child starts it.
        self._owner = threading.Thread(
            target=self._own, args=(_environment(settings["threads"]), started), daemon=True
        )
        self._owner.start()
        child = started.get()
        if isinstance(child, OSError):
            raise DeviceError(f"cannot start a measuring process: {child}")
        self._child = child
        self._memory_kills = memory_kills()
        try:
            _, self.greeting = self._request(dict(settings), parts, START_LIMIT, silent)
        except BaseException as error:
            self.kill()
            if isinstance(error, WorkerLost):  # no model is to blame
                raise DeviceError(str(error)) from error
            raise

    @property
    def alive(self) -> bool:
        """Whether another request can be sent."""
        return self._owner.is_alive()

    def request(
        self,
        header: dict[str, Any],
        parts: Sequence[bytes],
        limit: float,
        on_step: Callable[[dict[str, Any]], None] = silent,
    ) -> Reply:
        """Send a request and wait for its result, at most `limit` seconds for each model's step.

        `on_step` is told of each step, with the seconds in which it must end as `limit`.

        Raises:
            WorkerLost: the worker died, or was killed at the limit.
            DeviceError: the worker reports an error.
        """
        self._stderr.truncate(0)
        try:
            return self._request(header, parts, limit, on_step)
        except DeviceError:
            raise
        except BaseException:
            self.kill()  # an interrupted request leaves a worker that answers late
            raise

    def kill(self) -> None:
        """End the worker now; it may be dead already."""
        if self.alive:  # not so in a fork of this process, which has no claim on the worker
            self._child.kill()
        self._owner.join()
        self._stderr.close()

    def _own(
        self,
        environment: dict[str, str],
        started: queue.Queue[subprocess.Popen[bytes] | OSError],
    ) -> None:
        command = [sys.executable, "-m", self._module, str(os.getpid())]
        pipe = subprocess.PIPE
        try:
            child = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=self._stderr, env=environment
            )
        except OSError as error:
            started.put(error)
            return
        assert child.stdin is not None
        assert child.stdout is not None
        started.put(child)
        try:
            while True:
                self._events.put(receive(child.stdout))
        except (EOFError, ValueError, OSError) as error:
            child.kill()  # it closed its pipe or wrote nonsense: no use any more
            child.wait()
            self._events.put(error)
        finally:
            child.stdout.close()
            with contextlib.suppress(OSError):  # what was not sent cannot be flushed
                child.stdin.close()

    def _request(
        self,
        header: dict[str, Any],
        parts: Sequence[bytes],
        limit: float,
        on_step: Callable[[dict[str, Any]], None],
    ) -> Reply:
        assert self._child.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it died; the owner says how
            send(self._child.stdin, header, parts)
        where, model, deadline = "while starting", None, time.monotonic() + limit
        while True:
            try:
                event = self._events.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty:
                self._child.kill()
                self._owner.join()
                raise WorkerLost(
                    f"{where}: no result within the time limit of {limit:g} s; killed",
                    "timeout",
                    model,
                ) from None
            if isinstance(event, BaseException):
                self._owner.join()
                kind, fate = self._fate()
                raise WorkerLost(f"{where}: the worker {fate}{self._last_lines()}", kind, model)
            reply, outputs = event
            if reply["event"] == "error":
                raise DeviceError(f"{where}: {reply['message']}")
            if reply["event"] != "step":
                return reply, outputs
            where, model = reply["where"], reply.get("model")
            allowed = limit * reply.get("count", 1)
            on_step({**reply, "limit": allowed})
            deadline = time.monotonic() + allowed

    def _fate(self) -> tuple[str, str]:
        """The kind of fault, and what happened to the process."""
        code = self._child.returncode
        if code is None or code >= 0:
            return "crash", f"ended with exit code {code}"
        name = signal.Signals(-code).name
        if -code == signal.SIGKILL and memory_kills() > self._memory_kills:
            return "memory", f"was killed by {name}, since the host ran out of memory"
        self._stderr.seek(0)
        kind = "memory" if b"bad_alloc" in self._stderr.read() else "crash"
        return kind, f"was killed by {name}"

    def _last_lines(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read()[-2000:].decode(errors="replace").split("\n")
        last = " | ".join(line.strip() for line in lines if line.strip())[-400:]
        return f"; its last lines: {last}" if last else ""


def _environment(threads: int) -> dict[str, str]:
    """The worker's environment variables: those that must be set before it starts."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        # glibc gives large blocks back to the kernel at each free and pays for it in page faults.
        "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
        "MALLOC_TOP_PAD_": str(64 << 20),
        # Inductor loads code from its cache, which by default lies in the shared temp folder, and
        # would compile in processes of its own, which might still run while a model is timed.
        "TORCHINDUCTOR_CACHE_DIR": os.environ.get("TORCHINDUCTOR_CACHE_DIR")
        or str(cache_folder() / "inductor"),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        # Modules are found where this process finds them, and nowhere else.
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "PYTHONSAFEPATH": "1",
    }
