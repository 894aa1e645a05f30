"""Real stores for tests: servers that speak S3 and Azure's protocol."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone

import pytest

from support import ROOT

SECRET = "a-secret-that-no-log-may-show"


@contextmanager
def s3_server() -> Iterator[None]:
    """moto's server on loopback, with an account in this process's environment."""
    program = _program("moto_server", ROOT / ".peers" / "moto" / "bin", "make s3")
    port = _free_port()
    account = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }
    with _serving([program, "-H", "127.0.0.1", "-p", str(port)], port, account):
        yield


def s3_bucket() -> str:
    """The URL of a new bucket, with a path in it."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    url = f"{os.environ['AWS_ENDPOINT_URL']}/{name}"
    urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=20).close()
    return f"s3://{name}/jobs/one"


_ACCOUNT = "hwnastest"


@contextmanager
def azure_server() -> Iterator[None]:
    """Azurite, Microsoft's emulator, on loopback, with an account in this process's environment."""
    folder = ROOT / ".peers" / "azurite" / "node_modules" / ".bin"
    program = _program("azurite-blob", folder, "make azurite")
    port, key = _free_port(), base64.b64encode(SECRET.encode()).decode()
    account = {
        "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": key,
        "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{_ACCOUNT}",
        "AZURITE_ACCOUNTS": f"{_ACCOUNT}:{key}",
    }
    words = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence"]
    with _serving([program, *words, "--silent", "--skipApiVersionCheck"], port, account):
        yield


def azure_container() -> str:
    """The URL of a new container, with a path in it."""
    name = f"container-{uuid.uuid4().hex[:12]}"
    key = base64.b64decode(os.environ["AZURE_STORAGE_ACCOUNT_KEY"])
    now = datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": now, "x-ms-version": "2021-08-06"}
    told = [f"{one}:{value}" for one, value in headers.items()]
    signed = "\n".join(["PUT", *[""] * 11, *told, f"/{_ACCOUNT}/{_ACCOUNT}/{name}"])
    signed += "\nrestype:container"
    signature = base64.b64encode(hmac.new(key, signed.encode(), hashlib.sha256).digest()).decode()
    headers["Authorization"] = f"SharedKey {_ACCOUNT}:{signature}"
    url = f"{os.environ['AZURE_STORAGE_ENDPOINT']}/{name}?restype=container"
    request = urllib.request.Request(url, method="PUT", headers=headers)
    urllib.request.urlopen(request, timeout=20).close()
    return f"az://{name}/jobs/one"


SERVERS = {"s3": (s3_server, s3_bucket), "azure": (azure_server, azure_container)}
"""For each server: its context, and what makes a new place on it."""


def _program(name: str, folder: os.PathLike[str], target: str) -> str:
    found = shutil.which(name, path=str(folder)) or shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} ({target})")
    return found


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def _serving(words: Sequence[str], port: int, account: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in account}
    os.environ.update(account)
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(server, f"http://127.0.0.1:{port}")
        yield
    finally:
        server.kill()
        server.wait()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # it answers
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < end, "no server"
            time.sleep(0.05)
