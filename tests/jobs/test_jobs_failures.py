"""Trainers that misbehave, each through the command line: the trial fails, the search does not."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest


def trials_of(hwnas, job: str) -> list[dict]:
    return json.loads(hwnas("show", job, "--json").stdout)["trials"]


@pytest.mark.parametrize(
    ("trainer", "kind", "reason"),
    [
        ("raises", "error", "ZeroDivisionError: division by zero"),
        ("nan", "metrics", "'accuracy' is nan"),
        ("text", "metrics", "'0.97'"),
        ("nameless", "metrics", "no 'accuracy'"),
        ("negative", "metrics", "accuracy is -0.5"),
        ("infeasible", "infeasible", "too wide for this chip"),
        ("exits", "exit", "sys.exit(1)"),
        ("leaves", "exit", "exit code 1"),
        ("killed", "killed", "SIGKILL"),
        ("crashes", "killed", "SIGSEGV"),
    ],
)
def test_failed_trials_say_why(hwnas, trainer: str, kind: str, reason: str) -> None:
    """Two trials fail, which is allowed; both are recorded with kind, reason and log."""
    budget = ["--budget", "params <= 1 M"]
    done = hwnas(
        "search", "nets:small", "--train", f"nets:{trainer}", "--trials", "2", "--max-failed", "2",
        "--job", "job", *budget, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr + done.stdout
    assert done.returncode == 1, done.stderr
    assert "no trial of job was completed" in done.stderr
    trials = trials_of(hwnas, "job")
    assert [t["state"] for t in trials] == ["failed", "failed"]
    assert {t["failure"]["kind"] for t in trials} == {kind}
    assert all(reason in t["failure"]["reason"] for t in trials), trials
    if trainer == "raises":
        assert "about to divide" in "\n".join(trials[0]["failure"]["log"])
        assert "ZeroDivisionError" in "\n".join(trials[0]["failure"]["log"])
    shown = hwnas("show", "job").stdout
    assert reason.split()[0] in shown


def test_a_trial_that_hangs_is_killed_with_its_children(hwnas, folder: Path) -> None:
    """The per-trial limit ends the trial and the process that it started."""
    hwnas(
        "search", "nets:small", "--train", "nets:hangs", "--trials", "1", "--max-failed", "1",
        "--trial-timeout", "1", "--job", "job", check=False,
    )  # fmt: skip
    (trial,) = trials_of(hwnas, "job")
    assert trial["failure"]["kind"] == "timeout"
    assert "not finished after 1 s" in trial["failure"]["reason"]
    child = int((folder / "job/trials/0/log.txt").read_text().split()[1])
    for _ in range(50):
        if not alive(child):
            return
        time.sleep(0.1)
    pytest.fail("the process that the trainer started is still there")


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z" and os.path.exists(f"/proc/{pid}")


def test_too_many_failures_end_the_search(hwnas) -> None:
    """One more than allowed is the end, with a summary and exit code 1."""
    done = hwnas(
        "search", "nets:small", "--train", "nets:raises", "--trials", "12", "--max-failed", "2",
        "--job", "job", check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "3 trials failed, more than the 2 allowed" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert len(trials_of(hwnas, "job")) == 3


def test_a_dead_worker_is_replaced(hwnas) -> None:
    """After a crash the other trials are trained by a new process."""
    hwnas(
        "search", "nets:small", "--train", "nets:fails_once", "--trials", "4", "--max-failed", "1",
        "--job", "job",
    )  # fmt: skip
    states = [t["state"] for t in trials_of(hwnas, "job")]
    assert states.count("failed") == 1
    assert states.count("complete") == 3


def test_a_trainer_that_does_not_import(hwnas, folder: Path) -> None:
    """A broken module is an error at once, not a row of failed trials."""
    (folder / "broken.py").write_text("import no_such_package\n")
    done = hwnas("search", "nets:small", "--train", "broken:train", "--job", "job", check=False)
    assert done.returncode == 1
    assert "no_such_package" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "job").exists()


def test_a_trial_is_run_again_from_its_checkpoint(hwnas, folder: Path) -> None:
    """Two failures are retried, and count for nothing."""
    told = hwnas(
        "search", "nets:small", "--train", "nets:flaky", "--trials", "2", "--max-failed", "0",
        "--retries", "2", "--job", "job",
    )  # fmt: skip
    assert [t["state"] for t in trials_of(hwnas, "job")] == ["complete"] * 2
    for number in (0, 1):
        attempts = folder / f"job/trials/{number}/checkpoints/attempts.txt"
        assert attempts.read_text() == "xxx"
    assert (told.stdout + told.stderr).count("failed, and is run again: OSError: attempt") == 4


def test_a_verdict_is_final(hwnas, folder: Path) -> None:
    """A network that its trainer calls infeasible has failed once, retries or not."""
    told = hwnas(
        "search", "nets:small", "--train", "nets:infeasible", "--trials", "1", "--max-failed", "1",
        "--retries", "3", "--job", "job", check=False,
    )  # fmt: skip
    assert "run again" not in told.stdout + told.stderr
    assert trials_of(hwnas, "job")[0]["failure"]["reason"] == "too wide for this chip"


def test_retries_come_to_an_end(hwnas, folder: Path) -> None:
    """A trial that fails once more than it may counts once."""
    hwnas(
        "search", "nets:small", "--train", "nets:flaky", "--trials", "2", "--max-failed", "1",
        "--retries", "1", "--job", "job", check=False,
    )  # fmt: skip
    trials = trials_of(hwnas, "job")
    assert [t["state"] for t in trials] == ["failed", "failed"]
    assert {t["failure"]["reason"] for t in trials} == {"OSError: attempt 2 failed"}
    # Whoever resumes with more retries does not run again what has failed for good.
    done = hwnas("search", "--job", "job", "--resume", "--retries", "5", "--trials", "3")
    assert done.returncode == 0
    states = [t["state"] for t in trials_of(hwnas, "job")]
    assert states == ["failed", "failed", "complete"]


def test_a_search_ends_in_time(hwnas, folder: Path) -> None:
    """At its limit the trial that runs is asked to stop, and no other is started."""
    hwnas(
        "search", "nets:small", "--train", "nets:stoppable", "--trials", "5", "--job", "job",
        "--time-limit", "3",
    )  # fmt: skip
    assert [t["state"] for t in trials_of(hwnas, "job")] == ["complete"]
    again = hwnas("search", "--job", "job", "--resume", "--time-limit", "0.001", "--trials", "9")
    assert again.returncode == 0
    assert len(trials_of(hwnas, "job")) == 1


def test_a_full_disk_is_no_fault_of_the_trial(hwnas, folder: Path) -> None:
    """The search stops and says so; with room it goes on, and nothing has failed."""
    done = hwnas(
        "search", "nets:small", "--train", "nets:full_disk", "--trials", "2", "--max-failed", "0",
        "--job", "job", check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "trial 0 could not be kept" in done.stderr
    assert "No space left on device" in done.stderr
    assert "go on with: hwnas search --resume --job job" in done.stderr
    (folder / "room").touch()
    hwnas("search", "--resume", "--job", "job")
    assert [t["state"] for t in trials_of(hwnas, "job")] == ["complete"] * 2
