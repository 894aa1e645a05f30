"""Job ids: a number and a folder for each job, whoever asks at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import JobError, UsageError
from hwnas.vertex._ids import ROOT, JobIndex, job_index, parse_id

MANY = """
import sys
from hwnas.vertex._ids import JobIndex
index = JobIndex(sys.argv[1])
for _ in range(5):
    job = index.create("search", "same")
    print(job.id, job.folder)
"""


def test_jobs_are_numbered_and_found(tmp_path: Path) -> None:
    index = JobIndex(str(tmp_path))
    first = index.create("search", "mnist")
    second = index.create("train", f"search_{first.id}_full", parent=first.id)
    assert (first.id, second.id) == (1, 2)
    assert first.folder.startswith("mnist_2")
    again = JobIndex(f"file://{tmp_path}")  # as on another machine
    assert again.find(1) == first
    assert again.find("projects/1/locations/us-central1/nasJobs/2") == second
    assert again.url(first) == f"file://{tmp_path}/{first.folder}"


def test_ids_and_folders_are_unique_under_concurrent_creation(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MANY, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    lines = [line.split() for one in processes for line in one.communicate()[0].splitlines()]
    assert sorted(int(number) for number, _ in lines) == list(range(1, 21))
    assert len({folder for _, folder in lines}) == 20
    assert JobIndex(str(tmp_path)).ids() == list(range(1, 21))


def test_an_unknown_job_says_where_it_was_looked_for(tmp_path: Path) -> None:
    index = JobIndex(str(tmp_path))
    index.create("search", "mnist")
    with pytest.raises(
        JobError, match=r"no NAS job 7 in file://.*known: 1.*root_output_dir.*STORE"
    ):
        index.find(7)


def test_the_root_is_given_or_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ROOT, raising=False)
    with pytest.raises(UsageError, match=r"set --root_output_dir or .* HWNAS_STORE"):
        job_index()
    monkeypatch.setenv(ROOT, str(tmp_path / "env"))
    assert job_index().root == f"file://{tmp_path / 'env'}"
    assert job_index(str(tmp_path)).root == f"file://{tmp_path}"


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "-x", "ü"])
def test_names_that_are_no_folders_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="job name"):
        JobIndex(str(tmp_path)).create("search", name)


def test_a_damaged_entry_is_told(tmp_path: Path) -> None:
    index = JobIndex(str(tmp_path))
    job = index.create("search", "mnist")
    (tmp_path / "nas_jobs" / f"{job.id}.json").write_text('{"id": 1')
    with pytest.raises(Exception, match=r"1\.json is damaged"):
        index.find(1)


@given(st.integers(min_value=1))
def test_numbers_and_resource_names_are_read(number: int) -> None:
    assert parse_id(number) == parse_id(f"projects/p/locations/r/nasJobs/{number}") == number


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "1.5", "nasJobs/", 0, -3])
def test_other_ids_are_refused(text: str | int) -> None:
    with pytest.raises(UsageError, match="not a job id"):
        parse_id(text)
