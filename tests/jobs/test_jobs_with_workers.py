"""Workers that a search starts and stops itself: `--with-workers`."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from processes import results, start, wait_for

from hwnas.jobs import Companion, Companions
from hwnas.jobs._queue import companions

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


def test_one_that_is_killed_is_started_again(hwnas, folder: Path, evaluated: Path) -> None:
    """And the search, whose only worker it is, comes to its end."""
    workers = ("--with-workers", "1", "--evaluator", f"{HERE}:Counting")
    search = start(folder, *SEARCH, *DEVICE, *workers, "--trials", "3", "--set", "pause=1")
    wait_for(lambda: results(folder), search)
    for worker in running(folder):
        os.kill(worker, signal.SIGKILL)
    _, stderr = search.communicate(timeout=120)
    assert search.returncode == 0, stderr
    assert "worker 0 of device 'pixel' ended with code -9, and is started again" in stderr
    job = json.loads(hwnas("show", "job", "--json").stdout)
    assert [trial["state"] for trial in job["trials"]] == ["complete"] * 3
    assert running(folder) == []


def test_stage_2_has_workers_too(hwnas, folder: Path, evaluated: Path) -> None:
    """The chosen trial is measured again, by workers of the train job's own queue."""
    workers = ("--with-workers", "1", "--evaluator", f"{HERE}:Counting")
    hwnas("search", *SEARCH, *DEVICE, *workers, "--trials", "2")
    before = evaluated.read_text()
    hwnas("train", "--job", "job", "--top", "1", *workers)
    (train,) = json.loads(hwnas("show", "job", "--json").stdout)["train_jobs"]
    assert [trial["state"] for trial in train["trials"]] == ["complete"]
    assert train["trials"][0]["costs"]["latency@pixel"]["value"] > 0
    assert len(evaluated.read_text()) > len(before)
    assert running(folder) == []
    done = hwnas("train", "--job", "job", "--top", "1", "--with-workers", "0", check=False)
    assert done.returncode == 2
    assert "workers are at least 1" in done.stderr


def test_programs_beside_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails is started again, one that has done its work is not; none is left."""
    monkeypatch.setattr(companions, "_PAUSE", 0.1)
    begun, cleaned = tmp_path / "begun", []

    def program(name: str, after: str) -> Companion:
        return Companion(
            name=name,
            argv=["sh", "-c", f"echo {name} >> {begun}; sleep 1; {after}"],
            log=tmp_path / f"{name}.log",
            ready=lambda: begun.exists() and name in begun.read_text(),
            clean_up=lambda: cleaned.append(name),
        )

    with Companions([program("fails", "kill -9 $$"), program("ends", "exit 0")]):
        end = time.monotonic() + 60
        while begun.read_text().count("fails") < 3:
            assert time.monotonic() < end
            time.sleep(0.1)
    assert begun.read_text().count("ends") == 1
    assert cleaned[:2] == ["fails", "fails"]
    started = begun.read_text()
    time.sleep(2)
    assert begun.read_text() == started
