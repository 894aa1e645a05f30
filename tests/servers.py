"""Real servers on loopback for tests, which keep on disk what they are told and can be killed."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from support import ROOT


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 90
    while not ready():
        assert process.poll() is None, f"the server ended: {log.read_text()[-2000:]}"
        assert time.monotonic() < end, "no server"
        time.sleep(0.05)


class PostgreSQL:
    """Debian's PostgreSQL, with a password, which may be started again after `kill`."""

    PASSWORD = "a-password-that-no-log-may-show"

    def __init__(self, folder: Path) -> None:
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            pytest.skip("there is no PostgreSQL (make postgres)")
        self._bin, self._data, self._log = Path(found[-1]), folder / "data", folder / "log"
        self.port = free_port()
        self._user: dict[str, int] = {}
        if os.geteuid() == 0:  # whom PostgreSQL refuses
            user = pwd.getpwnam("nobody")
            self._user = {"user": user.pw_uid, "group": user.pw_gid}
            os.chown(folder, user.pw_uid, user.pw_gid)
        password = folder / "password"
        password.write_text(self.PASSWORD)
        password.chmod(0o644)
        options = ("-U", "hwnas", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync")
        subprocess.run(
            [self._bin / "initdb", "-D", self._data, *options],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            **self._user,
        )
        self.start()

    def start(self) -> None:
        # After a kill the backends of the old server must be gone before a new one starts.
        for _ in range(50):
            with open(self._log, "ab") as log:
                self.process = subprocess.Popen(
                    [
                        self._bin / "postgres", "-D", self._data, "-p", str(self.port),
                        "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
                    ],
                    cwd=self._data.parent,
                    stdout=log,
                    stderr=log,
                    **self._user,
                )  # fmt: skip
            while self.process.poll() is None:
                if self._ready():
                    return
                time.sleep(0.05)
            time.sleep(0.1)
        pytest.fail(f"PostgreSQL does not start: {self._log.read_text()[-2000:]}")

    def _ready(self) -> bool:
        asked = [self._bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, check=False).returncode == 0

    def database(self) -> str:
        """The URL of a new database."""
        name = f"d{uuid.uuid4().hex[:12]}"
        subprocess.run(
            [self._bin / "createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "hwnas", name],
            env={**os.environ, "PGPASSWORD": self.PASSWORD},
            check=True,
        )
        return f"postgresql+psycopg://hwnas:{self.PASSWORD}@127.0.0.1:{self.port}/{name}"

    def kill(self) -> None:
        """SIGKILL to the server and those of its processes that answer clients."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for pid in [self.process.pid, *map(int, children.split())]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


class SeaweedFS:
    """A store that speaks S3, in one process, with its data on disk."""

    ACCOUNT = ("test", "a-secret-that-no-log-may-show")

    def __init__(self, folder: Path) -> None:
        program = ROOT / ".peers" / "seaweedfs" / "bin" / "weed"
        found = str(program) if program.exists() else shutil.which("weed")
        if found is None:
            pytest.skip("there is no weed (make s3)")
        self._program, self._folder, self._log = found, folder, folder / "log"
        (folder / "data").mkdir()
        names = ("master", "volume", "filer", "s3")
        self._ports = {
            f"-{name}.port{kind}": free_port() for name in names for kind in ("", ".grpc")
        }
        self.url = f"http://127.0.0.1:{self._ports['-s3.port']}"
        self.environment: Mapping[str, str] = {
            "AWS_ACCESS_KEY_ID": self.ACCOUNT[0],
            "AWS_SECRET_ACCESS_KEY": self.ACCOUNT[1],
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
        }
        self.start()

    def start(self) -> None:
        options = [
            "server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
            "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
            "-master.electionTimeout=1s", "-master.volumeSizeLimitMB=64", "-volume.max=0",
            "-filer.saveToFilerLimit=1048576",
            *(f"{name}={port}" for name, port in self._ports.items()),
        ]  # fmt: skip
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(
                [self._program, "-logtostderr=true", *options],
                cwd=self._folder,
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
            )
        wait_until(self._ready, self.process, self._log)

    def _ready(self) -> bool:
        try:
            urllib.request.urlopen(self.url, timeout=5).close()
        except urllib.error.HTTPError:  # who asks without a name is refused
            return True
        except OSError:
            return False
        return True

    def bucket(self) -> str:
        """The URL of a new bucket, which is made by its first object, with a path in it."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        with_account = {
            "access_key_id": self.ACCOUNT[0],
            "secret_access_key": self.ACCOUNT[1],
            "region": "us-east-1",
            "endpoint": self.url,
        }
        store = S3Store(name, config=with_account, client_options={"allow_http": True})
        obstore.put(store, "first", b"")
        return f"s3://{name}/jobs/one"

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()
