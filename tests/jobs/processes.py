"""Searches as processes of their own, to be watched and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
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


def kill_tree(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the process and all that descend from it, none of them warned."""
    family = [process.pid]
    for pid in family:
        children = Path(f"/proc/{pid}/task").glob("*/children")
        family += [int(child) for file in children for child in file.read_text().split()]
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    process.communicate()
