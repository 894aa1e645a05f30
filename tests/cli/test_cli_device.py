"""`hwnas device`: names for devices, kept safely, and what a check says."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hwnas.device import LocalDevice, RemoteDevice
from hwnas.errors import DeviceError, UsageError
from hwnas.jobs import DeviceRegistry, DeviceSpec, find_device, open_device

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config" / "devices.json"
    monkeypatch.setenv("HWNAS_DEVICES", str(path))
    return path


def test_a_device_is_added_listed_measured_on_checked_and_removed(
    hwnas: Command, folder: Path
) -> None:
    assert "hwnas device add NAME" in hwnas("device", "list").stdout
    hwnas("device", "add", "board", "--via", "sh", "--python", sys.executable)
    assert "board" in hwnas("device", "list").stdout
    told = hwnas("device", "add", "board", check=False)
    assert told.returncode == 2
    assert "--replace" in told.stderr
    (folder / "net.py").write_text("from torch import nn\ndef net():\n    return nn.Flatten()\n")
    done = hwnas("measure", "net:net", "--device", "board", "--input-shape", "3,8,8", "--json")
    (one,) = json.loads(done.stdout)["measurements"]
    assert one["device"] == "board"
    assert one["environment"]["torch_version"] is None
    found = json.loads(hwnas("device", "check", "board", "--seconds", "0", "--json").stdout)
    assert len(found["sessions"]) == 3
    assert found["verdict"] in ("good", "fair", "poor")
    (kept,) = json.loads(hwnas("device", "list", "--json").stdout)
    assert kept["process_std"] == pytest.approx(found["process_std"], abs=1e-5)
    hwnas("device", "remove", "board")
    assert json.loads(hwnas("device", "list", "--json").stdout) == []


def test_a_name_means_the_registered_device() -> None:
    DeviceRegistry().add(DeviceSpec(name="board", via="ssh pi@board", threads=2))
    assert find_device("board").via == "ssh pi@board"
    assert find_device("board=torch").via is None
    assert find_device("other") == DeviceSpec(name="other")
    with open_device(find_device("board")) as device:
        assert isinstance(device, RemoteDevice)
    with open_device(find_device("other")) as device:
        assert isinstance(device, LocalDevice)
    with pytest.raises((UsageError, DeviceError), match="works on this host alone"):
        open_device(DeviceSpec(name="board", via="ssh pi@board", runtime="torch"))


def test_many_writers_lose_nothing(devices: Path) -> None:
    threads = [
        threading.Thread(target=DeviceRegistry().add, args=(DeviceSpec(name=f"d{i}"),))
        for i in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(DeviceRegistry().all()) == {f"d{i}" for i in range(20)}
    json.loads(devices.read_text())


def test_a_broken_file_is_named_and_kept(devices: Path) -> None:
    devices.parent.mkdir()
    devices.write_text('{"devices": [{"name": "x", "thread": 2}]}')
    with pytest.raises(UsageError, match=r"devices\.json cannot be read: devices\.0\.thread"):
        DeviceRegistry().add(DeviceSpec(name="y"))
    assert "thread" in devices.read_text()
    with pytest.raises(UsageError, match="cannot be read"):
        find_device("x")
