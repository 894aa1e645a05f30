"""Peak memory of this process, and a bound on it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


class PeakMemory:
    """How far the resident memory of this process rises: `start`, then `bytes`.

    The kernel keeps the high-water mark of the resident set (`VmHWM` of proc(5)) and resets it on
    request, so no peak between two samples is missed. Free memory that malloc holds is given back
    first, since what lands there would not count.
    """

    def __init__(self) -> None:
        self._before: int | None = None

    def start(self) -> None:
        """Take the present size as the base; memory in use by then does not count."""
        if sys.platform != "linux":
            return
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):
            libc.malloc_trim(0)
        try:
            Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
        except OSError:
            return  # some containers forbid it
        self._before = _status("VmRSS")

    @property
    def bytes(self) -> int | None:
        """The highest rise since `start`; None where the platform does not tell."""
        return None if self._before is None else max(_status("VmHWM") - self._before, 0)


def limit_memory(limit: int) -> None:
    """Let allocations fail beyond `limit` bytes of private memory of this process.

    Without a limit a model that is too large brings the whole host down before it fails. The
    kernel is also asked to take this process first if memory runs out all the same.
    """
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    with contextlib.suppress(OSError):  # not Linux, or /proc is read-only
        Path("/proc/self/oom_score_adj").write_text("1000")


def host_memory() -> int:
    """Bytes of memory that this host, or this container, has."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(name).read_text()))
        except (OSError, ValueError):
            continue  # no such control group, or "max"
    return total


def memory_kills() -> int:
    """How many processes the kernel has killed for want of memory; 0 where it does not tell."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass  # not Linux
    return 0


def _status(key: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) << 10
    raise OSError(f"{_STATUS} has no {key}")
