"""Latency calculators start before any trial does, and none outlives its job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from docker_stub import DockerStub

from hwnas.errors import JobError
from hwnas.vertex._calculators import Calculators
from hwnas.vertex._programs import ImageProgram, LocalProgram, Program

CALCULATOR = """
import os, pathlib, sys, time
flags = dict(word[2:].split("=", 1) for word in sys.argv[1:])
here = pathlib.Path(os.environ["HERE"])
number = flags["latency_worker_id"]
if flags.get("fail") == number:
    sys.exit("there is no device on the desk")
(here / f"pid-{number}").write_text(str(os.getpid()))
(here / "told").with_suffix("." + number).write_text(repr(flags))
(here / "told").with_suffix("." + number).rename(here / f"ready-{number}")
time.sleep(600)
"""


def calculators(
    folder: Path,
    count: int,
    program: Program | None = None,
    stop_limit: float = 10.0,
    **flags: object,
) -> Calculators:
    (folder / "calculator.py").write_text(CALCULATOR)
    return Calculators(
        program or LocalProgram(str(folder / "calculator.py")),
        flags,
        count=count,
        env={"HERE": str(folder)},
        logs=folder / "logs",
        ready=lambda number: (folder / f"ready-{number}").exists(),
        stop_limit=stop_limit,
    )


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def pids(folder: Path) -> list[int]:
    return [int(file.read_text()) for file in sorted(folder.glob("pid-*"))]


def eventually(what: Callable[[], bool]) -> bool:
    end = time.monotonic() + 30
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_all_are_ready_inside_and_gone_outside(tmp_path: Path) -> None:
    with calculators(tmp_path, 2, dummy_flag="a=b"):
        running = pids(tmp_path)
        assert len(running) == 2
        assert all(map(lives, running))
        assert "'dummy_flag': 'a=b'" in (tmp_path / "ready-0").read_text()
        assert "'num_latency_workers': '2'" in (tmp_path / "ready-1").read_text()
    assert not any(map(lives, running))


def test_if_one_cannot_start_none_is_left(tmp_path: Path) -> None:
    """The reason is told: what the calculator said last."""
    with (
        pytest.raises(JobError, match=r"calculator 1 ended with code 1 .*no device on the desk"),
        calculators(tmp_path, 2, fail=1),
    ):
        pytest.fail("a trial would start")
    assert not any(map(lives, pids(tmp_path)))


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(JobError, match=r"there is no program nothing\.py"),
        calculators(tmp_path, 1, LocalProgram("nothing.py")),
    ):
        pytest.fail("a trial would start")


def test_a_container_is_removed_if_it_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = [sys.executable, str(tmp_path / "stubborn.py")]
    (tmp_path / "stubborn.py").write_text(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + CALCULATOR
    )
    docker = DockerStub(tmp_path, {"calculator:latest": stubborn})
    monkeypatch.setenv("PATH", docker.path)
    program = ImageProgram("calculator:latest", f"file://{tmp_path}")
    with calculators(tmp_path, 1, program, stop_limit=0.5):
        (running,) = pids(tmp_path)
    assert not lives(running)
    (run,), (removed,) = docker.calls("run"), docker.calls("rm")
    name = run["argv"][run["argv"].index("--name") + 1]
    assert removed["argv"] == ["rm", "--force", name]


def test_calculators_end_when_the_job_is_killed(tmp_path: Path) -> None:
    program = f"""
import sys, time
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
from pathlib import Path
from test_vertex_calculators import calculators
with calculators(Path({str(tmp_path)!r}), 2):
    print("ready", flush=True)
    time.sleep(600)
"""
    job = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    assert job.stdout.readline() == "ready\n"
    running = pids(tmp_path)
    job.send_signal(signal.SIGKILL)
    job.wait()
    job.stdout.close()
    assert len(running) == 2
    assert eventually(lambda: not any(map(lives, running)))
