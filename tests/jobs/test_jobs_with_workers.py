"""Workers that a search starts and stops itself: `--with-workers`."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from processes import results, start, wait_for

SEARCH = ("nets:small", "--task", "digits", "--train", "nets:quick", "--job", "job")
DEVICE = ("--device", "pixel=queue", "--budget", "latency@pixel <= 60 s")
HERE = Path(__file__).with_name("evaluators.py")


@pytest.fixture
def evaluated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the evaluator `Counting` writes into."""
    monkeypatch.setenv("EVALUATED", str(folder / "evaluated"))
    return folder / "evaluated"


def running(folder: Path) -> list[int]:
    """The workers of the job in a folder that live."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        ours = "worker" in words and any(str(folder / "job") in word for word in words)
        if ours and state != "Z":
            found.append(int(process.name))
    return found


def test_they_run_as_long_as_the_search(hwnas, folder, evaluated, monkeypatch) -> None:
    workers = ("--with-workers", "2", "--evaluator", f"{HERE}:Counting")
    monkeypatch.setenv("EVALUATION_SECONDS", "1")
    run = ("search", *SEARCH, *DEVICE, *workers, "--trials", "4", "--parallel", "2")
    said = hwnas(*run).stdout
    assert said.count("'pixel' needs") in (1, 2)  # at the end, and before if there were too few
    planned = json.loads(hwnas("plan", "--job", "job", "--json").stdout)
    assert planned["pixel"]["devices"] >= 1
    assert running(folder) == []
    job = json.loads(hwnas("show", "job", "--json").stdout)
    assert [trial["state"] for trial in job["trials"]] == ["complete"] * 4
    assert job["warnings"] == []
    told = {"pixel": {"one": 1.0, "two": 1.5}}
    (folder / "job/calibrations.json").write_text(json.dumps(told))
    warning = "device 'pixel': workers two and one differ by 50% on one network"
    assert warning in hwnas("show", "job").stdout
    logs = sorted(path.name for path in (folder / "job/workers").iterdir())
    assert logs == ["pixel-0.log", "pixel-1.log"]
    said = "".join((folder / "job/workers" / name).read_text() for name in logs)
    assert said.count("measured\n") == 2
    assert "Traceback" not in said
    assert not list((folder / "job/queue/pixel/workers").iterdir())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--worker-device", "pixel=nosuch"), "nosuch"),
        (("--evaluator", "nowhere:Board"), "nowhere"),
        (("--evaluator", f"{HERE}:InfeasibleModel"), "is not a subclass of hwnas.jobs.Evaluator"),
        (("--worker-device", "coral=onnxruntime"), "a worker cannot serve 'coral'"),
    ],
)
def test_if_they_cannot_start_no_trial_does(hwnas, folder: Path, options, reason) -> None:
    done = hwnas("search", *SEARCH, *DEVICE, "--with-workers", "1", *options, check=False)
    assert done.returncode in (1, 2)
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "trained.txt").exists()
    assert running(folder) == []


def test_what_goes_with_them(hwnas) -> None:
    for options, reason in (
        (("--with-workers", "1"), "give one as --device NAME=queue"),
        (("--evaluator", "board.py:Board"), "go with --with-workers N"),
        ((*DEVICE, "--with-workers", "0"), "workers are at least 1"),
    ):
        done = hwnas("search", *SEARCH, *options, check=False)
        assert done.returncode == 2
        assert reason in done.stderr.replace("\n", " ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_they_end_with_the_search_however_it_ends(folder: Path, evaluated: Path, number) -> None:
    workers = ("--with-workers", "1", "--evaluator", f"{HERE}:Counting")
    search = start(folder, *SEARCH, *DEVICE, *workers, "--trials", "9", "--set", "pause=0.5")
    wait_for(lambda: results(folder) and evaluated.exists(), search)
    assert running(folder)
    os.kill(search.pid, number)
    search.communicate(timeout=60)
    end = time.monotonic() + 30
    while running(folder):
        assert time.monotonic() < end
        time.sleep(0.1)
