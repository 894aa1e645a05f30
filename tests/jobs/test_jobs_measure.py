"""Trials that have themselves measured: `report.measure`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import wait_for

from hwnas.jobs import Store, TrialFolder
from support import HWNAS

SEARCH = ("nets:small", "--task", "digits", "--train", "nets:measured", "--job", "job")


@contextmanager
def worker(folder: Path, evaluator: str) -> Iterator[None]:
    """A worker for `pixel` until the block ends."""
    file = Path(__file__).with_name("evaluators.py")
    command = [HWNAS, "worker", "--job", "job", "--device", "pixel", "--evaluator"]
    process = subprocess.Popen(
        [*command, f"{file}:{evaluator}"],
        cwd=folder,
        env={**os.environ, "EVALUATED": str(folder / "evaluated")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: list((folder / "job").glob("queue/pixel/workers/*")), process)
        yield
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("executor", ["local", "command:cd / && {trial}"])
def test_on_a_device_at_hand_that_takes_files_or_modules(
    hwnas, folder: Path, executor: str
) -> None:
    devices = ("--device", "eager=torch", "--device", "local", "--parallel", "2")
    budget = ("--budget", "latency@eager <= 100 ms")
    more = ("--trials", "2", "--set", "device=eager", "--executor", executor)
    hwnas(*("search", *SEARCH, *devices, *budget, *more))
    found = json.loads(hwnas("show", "job", "--json").stdout)
    for trial in found["trials"]:
        measured = trial["costs"]["latency@eager"]["value"]
        assert 0.2 < trial["metrics"]["seen"] / measured < 5
    references = json.loads((folder / "job/devices.json").read_text())
    assert references.keys() == {"eager"}
    # Of two times that the same weights were asked for the second is the first.
    assert len(list((folder / "job/queue/eager/results").iterdir())) == 2


def test_by_a_worker_elsewhere_that_finds_networks_impossible_or_fails(hwnas, folder) -> None:
    with worker(folder, "Failing"):
        hwnas(
            *("search", *SEARCH, "--device", "pixel=queue", "--set", "device=pixel"),
            *("--trials", "3", "--strategy", "random", "--retries", "1"),
        )
    found = json.loads(hwnas("show", "job", "--json").stdout)
    good, failed, infeasible = sorted(found["trials"], key=lambda trial: trial["number"])
    assert good["metrics"]["seen"] == 1.5
    assert failed["failure"]["kind"] == "measure"
    assert "the board is on fire" in failed["failure"]["reason"]
    assert infeasible["failure"]["kind"] == "infeasible"
    assert "Einsum" in infeasible["failure"]["reason"]
    # What failed was asked for again with the retry, what is infeasible was not.
    asked = [path.name[:6] for path in (folder / "job/queue/pixel/requests").iterdir()]
    assert sorted(asked) == ["000000", "000001", "000001", "000002"]


def test_a_search_by_the_costs_that_an_evaluator_tells(hwnas, folder: Path) -> None:
    with worker(folder, "Counting"):
        hwnas(
            *("search", *SEARCH[:4], "nets:idle", "--job", "job", "--device", "pixel=queue"),
            *("--trials", "2", "--budget", "latency@pixel <= 60 s"),
        )
    found = json.loads(hwnas("show", "job", "--json").stdout)
    assert [trial["state"] for trial in found["trials"]] == ["complete"] * 2
    assert found["winner"] is not None


def test_what_cannot_be_measured_says_why(hwnas, folder: Path) -> None:
    for device, reason in (
        ("nosuch", "the search has no device 'nosuch'; it has: pixel"),
        ("pixel", "device 'pixel': no worker serves it; start one"),
    ):
        done = hwnas(
            *("search", *SEARCH[:-1], f"job-{device}", "--device", "pixel=queue"),
            *("--set", f"device={device}", "--trials", "1", "--max-failed", "0"),
            check=False,
        )
        assert done.returncode == 1
        assert reason in done.stderr
        assert "Traceback" not in done.stderr


def test_nothing_is_kept_for_trials_that_do_not_ask(hwnas, folder: Path) -> None:
    hwnas("search", *SEARCH[:4], "nets:idle", "--job", "job", "--trials", "1")
    assert not list(Store(folder / "job").names("queue"))


def test_a_trial_knows_its_job_wherever_that_is(tmp_path: Path) -> None:
    assert TrialFolder(tmp_path / "trials" / "3").job == str(tmp_path)
    elsewhere = TrialFolder(tmp_path / "trials" / "3", "s3://bucket/jobs/one/trials/3")
    assert elsewhere.job == "s3://bucket/jobs/one"
