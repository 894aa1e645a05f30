"""A real Ray cluster on this machine, and its processes."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import wait_for

LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}
"""127.0.0.1, as `listening` tells it."""

RAY = Path(sys.executable).parent / "ray"


@dataclass
class Cluster:
    address: str
    head: subprocess.Popen[bytes]


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster of one machine with 2 CPUs, for those who know its token."""
    if not RAY.exists():
        pytest.skip("Ray is not installed (pip install 'hwnas[ray]')")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    account = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_enable_worker_prestart": "0",
        "RAY_prestart_worker_first_driver": "0",
    }
    before = {name: os.environ.get(name) for name in account}
    os.environ.update(account)
    try:
        head = ("--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false")
        with machine(*head) as process:
            yield Cluster(f"127.0.0.1:{port}", process)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def machine(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A machine of a cluster: `ray start`, and all that comes of it."""
    scratch = Path(tempfile.mkdtemp(prefix="hwnas-", dir="/tmp"))
    with open(scratch / "out.txt", "wb") as out:
        process = subprocess.Popen(
            [
                *(RAY, "start", "--block", "--object-store-memory=100000000"),
                *(f"--temp-dir={scratch}", *arguments),
            ],
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        out = scratch / "out.txt"
        wait_for(lambda: process.poll() is not None or "Ray runtime started" in out.read_text())
        assert process.poll() is None, out.read_text()
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(scratch, ignore_errors=True)


def listening(pids: Iterable[int]) -> set[str]:
    """The addresses at which processes listen, in the hexadecimal of /proc/net."""
    inodes = set()
    for pid in pids:
        for handle in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(handle))
    tables = [Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return {
        row[1].partition(":")[0]
        for row in rows
        if row[3] == "0A" and f"socket:[{row[9]}]" in inodes
    }
