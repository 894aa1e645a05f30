"""Kill anything, lose nothing."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from processes import kill_tree, results, start, wait_for

SEARCH = (
    "nets:small", "--train", "nets:quick", "--set", "pause=0.15", "--trials", "8", "--parallel",
    "2", "--strategy", "random", "--seed", "3", "--job", "job",
)  # fmt: skip


@pytest.mark.parametrize("whole_tree", [True, False], ids=["tree", "coordinator"])
def test_kill_and_resume(hwnas, folder: Path, whole_tree: bool) -> None:
    """Finished trials are kept, none of them is trained twice, the total is the one asked for."""
    process = start(folder, *SEARCH)
    wait_for(lambda: len(results(folder)) >= 3, process)
    if whole_tree:
        kill_tree(process)
    else:
        process.kill()
        process.communicate()
    finished = {p.parent.name: p.stat().st_mtime_ns for p in results(folder)}
    assert 3 <= len(finished) < 8

    hwnas("search", "--resume", "--job", "job")
    trials = json.loads(hwnas("show", "job", "--json").stdout)["trials"]
    assert [t["state"] for t in trials] == ["complete"] * 8
    assert len({json.dumps(t["arch"], sort_keys=True) for t in trials}) == 8
    for name, written in finished.items():
        assert (folder / "job/trials" / name / "manifest.json").stat().st_mtime_ns == written
    trained = (folder / "trained.txt").read_text().splitlines()
    # Those in flight at the kill, two at most, were begun once more.
    assert 8 <= len(trained) <= 10

    unbroken = ["job" if a == "job" else a for a in SEARCH[:-1]] + ["whole"]
    hwnas("search", *unbroken)
    other = json.loads(hwnas("show", "whole", "--json").stdout)["trials"]
    assert [t["arch"] for t in other] == [t["arch"] for t in trials]


def test_interrupted_trials_wait_for_a_run_with_time(hwnas, folder: Path) -> None:
    """A run that ends before it comes to them leaves them to the next."""
    process = start(folder, *SEARCH)
    wait_for(lambda: len(results(folder)) >= 2, process)
    kill_tree(process)
    hwnas("search", "--resume", "--job", "job", "--time-limit", "0.001")
    left = json.loads(hwnas("show", "job", "--json").stdout)["trials"]
    assert {t["state"] for t in left} == {"complete", "running"}
    hwnas("search", "--resume", "--job", "job", "--time-limit", "3600")
    trials = json.loads(hwnas("show", "job", "--json").stdout)["trials"]
    assert [t["state"] for t in trials] == ["complete"] * 8
    assert [t["arch"] for t in trials][: len(left)] == [t["arch"] for t in left]


def test_workers_die_with_the_coordinator(folder: Path) -> None:
    """A kill of the coordinator alone leaves no training process behind."""
    process = start(folder, *SEARCH)
    wait_for(lambda: len(results(folder)) >= 1, process)
    workers = [
        int(child)
        for file in Path(f"/proc/{process.pid}/task").glob("*/children")
        for child in file.read_text().split()
    ]
    assert workers
    process.kill()
    process.communicate()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), seconds=10)


def test_ctrl_c_says_how_to_go_on(hwnas, folder: Path) -> None:
    """An interrupt keeps what is done and names the command that resumes."""
    process = start(folder, *SEARCH)
    wait_for(lambda: len(results(folder)) >= 2, process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "hwnas search --resume --job job" in stderr
    assert "Traceback" not in stderr
    hwnas("search", "--resume", "--job", "job")
    trials = json.loads(hwnas("show", "job", "--json").stdout)["trials"]
    assert len(trials) == 8


def test_a_torn_journal_is_mended(hwnas, folder: Path) -> None:
    """Half a line at the journal's end, as a kill or a full disk leaves it, costs nothing."""
    two = ["2" if a == "8" else a for a in SEARCH]
    hwnas("search", *two)
    with open(folder / "job/study.journal", "ab") as file:
        file.write(b'{"op_code":4,"worker_id":"x","study_')
    hwnas("search", "--resume", "--job", "job")
    trials = json.loads(hwnas("show", "job", "--json").stdout)["trials"]
    assert [t["state"] for t in trials] == ["complete"] * 2


def test_two_coordinators(hwnas, folder: Path) -> None:
    """A second search on a running job is refused, and names the first."""
    process = start(folder, *("pause=3600" if a == "pause=0.15" else a for a in SEARCH))
    wait_for(lambda: list((folder / "job/trials").glob("*")), process)
    second = hwnas("search", "--resume", "--job", "job", check=False)
    assert second.returncode == 1
    assert f"is being run by process {process.pid}" in second.stderr
    process.kill()
    process.communicate()


def test_a_process_is_killed_while_it_starts(folder: Path) -> None:
    """Its trial has not begun: another process takes it, and no attempt is counted."""
    process = start(folder, *SEARCH, "--max-failed", "0")
    wait_for(lambda: training_of(process.pid), process)
    os.kill(training_of(process.pid)[0], signal.SIGKILL)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert len(results(folder)) == 8


def training_of(pid: int) -> list[int]:
    """The training processes of a search."""
    children = [
        int(child)
        for file in Path(f"/proc/{pid}/task").glob("*/children")
        for child in file.read_text().split()
    ]
    return [one for one in children if b"process" in Path(f"/proc/{one}/cmdline").read_bytes()]
