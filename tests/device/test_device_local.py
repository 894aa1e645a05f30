"""LocalDevice: real measurements, and every way a model can spoil one."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hwnas.device import LocalDevice, Measurement, Timing, export_onnx
from hwnas.device._worker.lock import host_lock
from hwnas.errors import DeviceError, ModelFault, UsageError

X = torch.zeros(1, 3, 16, 16)
QUICK = Timing(time_cap=0.1)


def net(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.Flatten(),
        nn.Linear(width * 256, 10),
    )


class Raises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise ZeroDivisionError("in the middle of the forward")


class Aborts(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        print("the last words", flush=True)
        os.abort()


class Chatty(nn.Module):
    """Prints to stdout, where a careless worker would keep its messages."""

    def forward(self, x: Tensor) -> Tensor:
        os.write(1, b"hello from the model\n" * 10)
        return x * 2


class Logs(nn.Module):
    """Appends its process to a file at every call."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        with open(self.path, "a") as file:
            file.write(f"{os.getpid()}\n")
        return x


@pytest.fixture(scope="module")
def eager() -> Iterator[LocalDevice]:
    with LocalDevice("eager", runtime="torch", timing=QUICK, time_limit=60) as device:
        yield device


@pytest.fixture(scope="module")
def ort() -> Iterator[LocalDevice]:
    with LocalDevice(timing=QUICK) as device:
        yield device


def test_a_larger_net_is_slower_in_onnx_runtime(ort: LocalDevice, tmp_path: Path) -> None:
    small, large = net(2), net(64)
    path = export_onnx(small, X, tmp_path / "small.onnx")
    first, from_file, second = ort.measure([small, path, large], X)
    assert first.median * 3 < second.median
    assert from_file.median * 3 < second.median
    for one in (first, second):
        assert (one.device, one.metric, one.unit) == ("local", "latency", "ms")
        assert one.low <= one.median <= one.high
        assert one.n >= QUICK.rounds[0]
        assert one.environment.runtime == "onnxruntime"
        assert one.environment.threads == one.environment.batch_size == 1
        assert one.canary is not None


def test_values_are_reported_at_the_reference_speed() -> None:
    with LocalDevice(runtime="torch", timing=QUICK, reference=1000.0) as device:
        (one,) = device.measure([net(8)], X)
    assert one.canary is not None
    assert one.canary.reference == 1000.0
    assert one.median == pytest.approx(
        one.raw_median * one.canary.reference / one.canary.median, rel=0.5
    )
    assert any(text.startswith("drift") for text in one.warnings)


def test_the_cap_ends_what_does_not_converge() -> None:
    timing = Timing(width=1e-9, time_cap=0.05)
    with LocalDevice(runtime="torch", timing=timing) as device:
        (one,) = device.measure([net(8)], X)
    assert not one.converged
    assert one.n >= timing.rounds[0]


def test_what_a_model_prints_does_no_harm(eager: LocalDevice) -> None:
    assert eager.measure([Chatty()], X)[0].median > 0


def test_a_model_that_kills_its_process_is_named_and_the_device_lives(eager: LocalDevice) -> None:
    with pytest.raises(DeviceError, match=r"\(Aborts\).*SIGABRT.*the last words"):
        eager.measure([Aborts()], X)
    assert eager.measure([net(2)], X)[0].median > 0


def test_a_file_that_is_not_onnx_is_named(ort: LocalDevice, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(DeviceError, match=r"model 1 of 1 \(bad.onnx\).*cannot load"):
        ort.measure([tmp_path / "bad.onnx"], X)


def test_usage_errors_come_before_any_measurement(eager: LocalDevice) -> None:
    with pytest.raises(DeviceError, match=r"batches of 1"):
        eager.measure([net(2)], torch.zeros(4, 3, 16, 16))
    broken = net(2)
    broken.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(DeviceError, match=r"cannot be sent"):
        eager.measure([broken], X)
    with pytest.raises(UsageError, match="unknown runtime 'abacus'"):
        LocalDevice(runtime="abacus")
    with pytest.raises(DeviceError, match="threads"):
        LocalDevice(threads=0)
    with pytest.raises(DeviceError, match="reference"):
        LocalDevice(reference=float("nan"))
    with pytest.raises(DeviceError, match="precision 'bf16'"):
        LocalDevice(precision="bf16")


def test_several_processes_are_fresh_ones_and_share_the_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    timing = Timing(processes=2, time_cap=0.1)
    with LocalDevice(runtime="torch", timing=timing) as device:
        fine, broken = device.measure_each([Logs(log), Raises()], X)
        (alone,) = device.measure_each([Logs(log)], X, timing=QUICK)
    assert isinstance(broken, ModelFault)
    assert isinstance(fine, Measurement)
    assert isinstance(alone, Measurement)
    assert (fine.processes, alone.processes) == (2, 1)
    assert len(set(log.read_text().split())) == 2  # the last one serves on
    assert fine.n >= 2 * timing.rounds[0]


def test_two_devices_take_turns(eager: LocalDevice, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with LocalDevice("other", runtime="torch", timing=QUICK) as other:
        threads = [
            threading.Thread(target=device.measure, args=([Logs(log)], X))
            for device in (eager, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    pids = log.read_text().split()
    changes = sum(a != b for a, b in itertools.pairwise(pids))
    assert len(set(pids)) == 2
    assert changes == 1


def test_measuring_waits_for_the_lock_and_the_lock_dies_with_its_holder(
    eager: LocalDevice,
) -> None:
    code = (
        "import time\nfrom hwnas.device._worker.lock import host_lock\n"
        "with host_lock():\n    print('held', flush=True)\n    time.sleep(3600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        done = threading.Event()

        def measure() -> None:
            eager.measure([net(2)], X)
            done.set()

        thread = threading.Thread(target=measure)
        thread.start()
        assert not done.wait(1.0)
        holder.kill()
        thread.join()
    assert done.is_set()
    with host_lock():
        pass


def test_the_worker_dies_with_its_device() -> None:
    code = (
        "import time, torch\nfrom torch import nn\n"
        "from hwnas.device import LocalDevice\n"
        "device = LocalDevice(runtime='torch')\n"
        "device.measure([nn.Linear(4, 4)], torch.zeros(1, 4))\n"
        "print(device._worker._child.pid, flush=True)\ntime.sleep(3600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(worker, 0)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while _running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _running(worker)


def test_a_device_that_nobody_closed_ends_with_its_process() -> None:
    code = (
        "import torch\nfrom torch import nn\nfrom hwnas.device import LocalDevice\n"
        "device = LocalDevice(runtime='torch')\n"
        "print(device.measure([nn.Linear(4, 4)], torch.zeros(1, 4))[0].median)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert float(done.stdout) > 0


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
