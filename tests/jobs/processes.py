"""Searches as processes of their own, to be watched and killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from support import HWNAS


def start(folder: Path, *arguments: str, command: str = "search") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [HWNAS, command, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, process: subprocess.Popen[str] | None = None, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if process is not None and process.poll() is not None:
            pytest.fail(f"the search ended early: {process.communicate()}")
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def results(folder: Path) -> list[Path]:
    return list((folder / "job/trials").glob("*/manifest.json"))


def family(process: subprocess.Popen) -> list[int]:
    """The process and all that descend from it."""
    found = [process.pid]
    for pid in found:
        found += children(pid)
    return found


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in files for child in file.read_text().split()]


def alive(pids: Iterable[int]) -> dict[int, str]:
    """Those that run, with their command lines."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            # A process that has ended and waits to be asked for its exit code has none.
            if words := Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found[pid] = b" ".join(words).decode(errors="replace").strip()
    return {pid: words for pid, words in found.items() if words}


def kill_tree(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the process and all that descend from it, none of them warned."""
    for pid in family(process):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
