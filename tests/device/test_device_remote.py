"""RemoteDevice over a plain shell: how it speaks, what it says, and what it outlives."""

from __future__ import annotations

import ast
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.device import toy
from torch import nn

from hwnas import _plugins
from hwnas.device import Measurement, RemoteDevice, Timing, export_onnx
from hwnas.device._remote.bundle import modules
from hwnas.device._remote.frames import decode, encode
from hwnas.errors import DeviceError, ModelFault, UsageError

X = torch.linspace(-1, 1, 12).reshape(1, 12)
QUICK = Timing(time_cap=0.05)
BOARD = "sh"
TIMING = "while timing"


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime `toy`, which no entry point names."""
    load = _plugins.load
    monkeypatch.setattr(
        _plugins,
        "load",
        lambda family, name: toy.Toy if name == "toy" else load(family, name),
    )


def board(command: str | list[str] = BOARD, **options: object) -> RemoteDevice:
    given = {"python": sys.executable, "timing": QUICK, "runtime": "toy", **options}
    return RemoteDevice("board", command, **given)  # type: ignore[arg-type]


def kinds(results: list[Measurement | ModelFault]) -> list[str]:
    return [one.kind if isinstance(one, ModelFault) else "measured" for one in results]


def net(width: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Flatten())


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("sh", id="shell"),
        pytest.param("sh -c 'echo Welcome; printf \"no end of line\"; exec sh'", id="greeting"),
        pytest.param("script -qfc sh /dev/null", id="terminal"),
    ],
)
def test_any_shell_will_do(toys: None, command: str) -> None:
    if not shutil.which(command.split()[0]):
        pytest.skip(f"there is no {command.split()[0]}")
    with board(command) as device:
        slow, fast = device.measure([toy.Slow(), toy.Doubles()], X)
        (again,) = device.measure([toy.Slow()], X)
    assert slow.median > 2 * fast.median
    assert slow.environment.runtime == "toy"
    assert slow.environment.torch_version is None
    assert slow.environment.python == sys.version.split()[0]
    assert slow.size_bytes is not None
    assert slow.canary is not None
    assert again.canary is not None
    assert slow.canary.reference == again.canary.reference == device.reference


def test_a_batch_with_every_fault_is_told_one_by_one(toys: None) -> None:
    models: list[nn.Module] = [
        toy.Aborts(),
        toy.Doubles(),
        toy.NanOutput(),
        toy.Wrong(),
        toy.Refused(),
        toy.AbortsLater(),
        toy.Slow(),
    ]
    with board() as device:
        results = device.measure_each(models, X)
    expected = ["crash", "measured", "not finite", "disagreement", "unsupported operator", "crash"]
    assert kinds(results) == [*expected, "measured"], [str(one) for one in results]
    assert str(results[0]).startswith(
        "device 'board': model 1 of 7 (Aborts): the worker was killed"
    )
    assert "model 6 of 7 (AbortsLater)" in str(results[5])


def test_a_model_that_hangs_is_killed_there(toys: None) -> None:
    with board(time_limit=2) as device:
        results = device.measure_each([toy.Hangs(), toy.Doubles()], X)
    assert kinds(results) == ["timeout", "measured"]


def test_nothing_is_left_behind(
    toys: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with board() as device:
        device.measure([toy.Doubles()], X)
        assert list(tmp_path.glob("hwnas-*"))
    assert not list(tmp_path.iterdir())


@contextlib.contextmanager
def cut(device: RemoteDevice, times: int) -> Iterator[None]:
    """Meanwhile, kill the command of each connection that has begun to measure."""
    done = threading.Event()

    def kill() -> None:
        seen: set[int] = set()
        while len(seen) < times and not done.is_set():
            connection = device._connection
            if connection and connection.where == TIMING and connection._child.pid not in seen:
                seen.add(connection._child.pid)
                os.killpg(connection._child.pid, signal.SIGKILL)
            time.sleep(0.01)

    thread = threading.Thread(target=kill)
    thread.start()
    yield
    done.set()
    thread.join()


def test_a_cut_connection_is_made_again(toys: None) -> None:
    with board(timing=Timing(time_cap=1.0, width=1e-9)) as device:
        with cut(device, 1):
            results = device.measure([toy.Doubles(), toy.Slow()], X)
        assert len(results) == 2
        device.close()
        assert device.measure([toy.Doubles()], X)


def test_a_model_at_which_the_connection_is_always_cut_is_named(toys: None) -> None:
    timing = Timing(time_cap=2.0, width=1e-9)
    with board(timing=timing, retries=1) as device, cut(device, 2):
        (fault,) = device.measure_each([toy.Slow()], X)
    assert isinstance(fault, ModelFault)
    assert fault.kind == "connection"
    assert "model 1 of 1 (Slow): while timing: 'sh' ended (was killed by SIGKILL)" in str(fault)
    assert "tried 2 times" in str(fault)


def test_a_board_that_has_gone_is_told_with_what_was_lost(toys: None, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    command = ["sh", "-c", f"test -e {gone} && echo no route >&2 && exit 9; exec sh"]
    with board(command, timing=Timing(time_cap=2.0, width=1e-9), retries=1) as device:
        assert device.measure([toy.Slow()], X)
        gone.touch()
        with cut(device, 1), pytest.raises(DeviceError, match="while timing") as caught:
            device.measure([toy.Slow()], X)
        assert "exit code 9): no route" in str(caught.value)
        gone.unlink()
        assert device.measure([toy.Slow()], X)


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("no-such-command x", {}, "cannot start 'no-such-command': No such file"),
        ("sh -c 'echo denied >&2; exit 255'", {}, r"ended \(exit code 255\): denied"),
        ("sh", {"python": "python-of-nobody"}, "there is no 'python-of-nobody' there.*python="),
        ("cat", {"connect_limit": 0.5}, "no answer from 'cat' within 0.5 s"),
        ("sh", {"runtime": "onnxruntime", "python": "BARE"}, "no '(numpy|onnxruntime)'; install"),
    ],
)
def test_what_cannot_work_says_why_in_one_line(
    toys: None, tmp_path: Path, command: str, options: dict[str, str], message: str
) -> None:
    if options.get("python") == "BARE":  # this Python without its packages
        bare = tmp_path / "python"
        bare.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec {sys._base_executable} -S "$@"\n')  # type: ignore[attr-defined]
        bare.chmod(0o755)
        options = {**options, "python": str(bare)}
    models = [net(2)] if options.get("runtime") else [toy.Doubles()]
    inputs = torch.zeros(1, 3, 8, 8) if options.get("runtime") else X
    with board(command, **options) as device, pytest.raises(DeviceError, match=message) as caught:
        device.measure(models, inputs)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("device 'board': ")


def test_usage_errors_come_before_any_connection() -> None:
    with pytest.raises(UsageError, match="runtime 'torch' works on this host alone; use onnx"):
        RemoteDevice("board", BOARD, runtime="torch")
    with pytest.raises(DeviceError, match="needs a command"):
        RemoteDevice("board", "")
    with pytest.raises(DeviceError, match="No closing quotation"):
        RemoteDevice("board", "ssh 'board")
    with pytest.raises(DeviceError, match="is no path of a Python"):
        RemoteDevice("board", BOARD, python="python3'; rm x")


def test_onnx_runtime_measures_there_as_here(tmp_path: Path) -> None:
    image = torch.linspace(-1, 1, 768).reshape(1, 3, 16, 16)
    path = export_onnx(net(4), image, tmp_path / "net.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with board(runtime="onnxruntime") as device:
        results = device.measure_each([net(4), tmp_path / "bad.onnx", path, net(64)], image)
    assert kinds(results) == ["measured", "failure", "measured", "measured"]
    assert "(bad.onnx): ONNX Runtime cannot load bad.onnx" in str(results[1])
    small, large = results[0], results[3]
    assert isinstance(small, Measurement)
    assert isinstance(large, Measurement)
    assert small.median < large.median


def test_quantised_models_are_made_here(tmp_path: Path) -> None:
    with board(runtime="onnxruntime", precision="int8") as device:
        (one,) = device.measure([net(4)], torch.linspace(-1, 1, 768).reshape(1, 3, 16, 16))
    assert one.environment.precision == "int8"


@given(
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    st.lists(st.binary(max_size=50), max_size=3),
    st.binary(max_size=30).filter(lambda noise: b"\n" not in noise),
)
def test_messages_outlive_what_stands_before_them(
    header: dict[str, int], parts: list[bytes], noise: bytes
) -> None:
    header.pop("parts", None)
    line = encode("key", header, parts)
    assert decode("key", noise + line) == (header, parts)
    assert decode("other", noise + line) is None
    assert line.count(b"\n") == 1
    with pytest.raises(ValueError, match="damaged"):
        decode("key", line[:-3])


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_what_is_sent_needs_the_standard_library_alone(runtime: str) -> None:
    session = _plugins.load("runtimes", runtime).session
    sent = set(modules(session))
    allowed = set(sys.stdlib_module_names) | {"numpy", "onnxruntime", "openvino", "pynvml"}
    for name in sent:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        for node in ast.walk(ast.parse(Path(spec.origin).read_text(), feature_version=(3, 8))):
            found = []
            if isinstance(node, ast.ImportFrom):
                found = [node.module or ""]
            elif isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            for module in found:
                assert module in sent or module.partition(".")[0] in allowed, (name, module)
