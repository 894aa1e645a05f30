"""RemoteDevice over a real sshd on this host, into a Python that has ONNX Runtime alone."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from torch import nn

from hwnas.device import LocalDevice, Measurement, RemoteDevice, Timing
from hwnas.errors import ModelFault

X = torch.linspace(-1, 1, 768).reshape(1, 3, 16, 16)
QUICK = Timing(time_cap=0.2)
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def net(width: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Flatten())


class NanOutput(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(-1 - x.abs())


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A command that gives a shell through an sshd of this test's own."""
    if SSHD is None or not shutil.which("ssh"):
        pytest.skip("there is no sshd (apt-get install openssh-server)")
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
        )
    shutil.copy(folder / "user.pub", folder / "authorized_keys")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/pid\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPrintMotd yes\n"
    )
    key = (folder / "host.pub").read_text().split()[:2]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {' '.join(key)}\n")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists when it runs as root
    with (
        open(folder / "log", "w") as log,
        subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"], stderr=log) as daemon,
    ):
        command = (
            f"ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -i {folder}/user "
            f"-o UserKnownHostsFile={folder}/known -p {port} {getpass.getuser()}@127.0.0.1"
        )
        try:
            for _ in range(50):
                done = subprocess.run(
                    [*shlex.split(command), "true"], capture_output=True, stdin=subprocess.DEVNULL
                )
                if done.returncode == 0 or daemon.poll() is not None:
                    break
                time.sleep(0.1)
            if done.returncode != 0:
                pytest.skip(f"sshd does not let this user in: {(folder / 'log').read_text()}")
            yield command
        finally:
            daemon.terminate()


@pytest.fixture(scope="module")
def bare_python(request: pytest.FixtureRequest) -> str:
    """A Python with ONNX Runtime and numpy, nothing else; made once, kept with pytest's cache."""
    assert request.config.cache is not None
    wanted = [f"{name}=={version(name)}" for name in ("onnxruntime", "numpy")]
    folder = request.config.cache.mkdir(f"python{sys.version_info[1]}-{'-'.join(wanted)}")
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        done = subprocess.run(
            [python, "-m", "pip", "install", "-q", "--no-deps", *wanted],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            pytest.skip(f"ONNX Runtime cannot be installed: {done.stderr.splitlines()[-1]}")
        (folder / "complete").touch()
    for name in ("torch", "hwnas"):
        done = subprocess.run([python, "-I", "-c", f"import {name}"], capture_output=True)
        assert done.returncode != 0
    return str(python)


@pytest.fixture(scope="module")
def board(ssh: str, bare_python: str) -> Iterator[RemoteDevice]:
    with RemoteDevice("board", ssh, python=bare_python, timing=QUICK) as device:
        yield device


def test_models_are_measured_where_there_is_onnx_runtime_alone(board: RemoteDevice) -> None:
    results = board.measure_each([net(4), NanOutput(), net(64)], X)
    small, fault, large = results
    assert isinstance(small, Measurement), str(small)
    assert isinstance(large, Measurement), str(large)
    assert isinstance(fault, ModelFault)
    assert fault.kind == "not finite"
    assert "model 2 of 3 (NanOutput)" in str(fault)
    assert small.median < large.median
    assert small.environment.runtime_version == version("onnxruntime")
    assert small.environment.torch_version is None


def test_ssh_that_is_killed_while_measuring_is_started_again(board: RemoteDevice) -> None:
    (before,) = board.measure([net(4)], X)
    assert board._connection is not None
    first = board._connection

    def kill() -> None:
        while first.where != "while timing":
            time.sleep(0.005)
        os.kill(first._child.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    (after,) = board.measure([net(4)], X)
    thread.join()
    assert board._connection is not first
    assert before.canary is not None
    assert after.canary is not None
    assert after.canary.reference == before.canary.reference


def test_this_host_over_ssh_agrees_with_this_host(board: RemoteDevice) -> None:
    model = net(64)
    with LocalDevice(timing=QUICK, reference=board.reference) as local:
        (here,) = local.measure([model], X)
    (there,) = board.measure([model], X)
    assert here.environment.cpu == there.environment.cpu
    assert here.environment.affinity == there.environment.affinity
    assert here.size_bytes == there.size_bytes
    assert here.median == pytest.approx(there.median, rel=0.5)
