"""Real stores for tests: a folder, memory, and a server that speaks S3."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support import ROOT


@contextmanager
def s3_server() -> Iterator[None]:
    """moto's server on loopback, with an account in this process's environment."""
    program = ROOT / ".peers" / "moto" / "bin" / "moto_server"
    found = str(program) if program.exists() else shutil.which("moto_server")
    if found is None:
        pytest.skip("there is no moto_server (make s3)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [found, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    account = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "a-secret-that-no-log-may-show",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }
    before = {name: os.environ.get(name) for name in account}
    os.environ.update(account)
    try:
        _wait(server, account["AWS_ENDPOINT_URL"])
        yield
    finally:
        server.kill()
        server.wait()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def s3_bucket() -> str:
    """The URL of a new bucket, with a path in it."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    url = f"{os.environ['AWS_ENDPOINT_URL']}/{name}"
    urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=20).close()
    return f"s3://{name}/jobs/one"


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None, "the S3 server ended"
            assert time.monotonic() < end, "no S3 server"
            time.sleep(0.05)
