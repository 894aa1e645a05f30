"""Jobs of other versions of hwnas, and of spaces that were edited since."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import hwnas
from hwnas.errors import JobError
from hwnas.jobs import Job, JobSpec, Objective, SpaceInfo
from hwnas.jobs._folder.space_record import describe_space, what_changed


def space(choices: dict[str, list]) -> hwnas.FunctionSpace:
    return hwnas.FunctionSpace(choices, lambda arch: None)


def spec() -> JobSpec:
    info = SpaceInfo(name="s", reference=None, fingerprint="f", code_hash="c", size=2)
    return JobSpec(
        name="s", space=info, trainer=None, objectives=Objective.parse("reward"), trials=1,
        max_failed=0,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Job.create(tmp_path / "job", spec(), space({"width": [4, 8]})).folder


def edit(folder: Path, **changes: object) -> None:
    path = folder / "job.json"
    fields = {**json.loads(path.read_text()), **changes}
    gone = {name for name, value in changes.items() if value is None}
    path.write_text(json.dumps({k: v for k, v in fields.items() if k not in gone}))


def test_a_job_of_a_newer_schema_says_what_to_do(folder: Path) -> None:
    edit(folder, schema_version=99, something_new=1)
    with pytest.raises(JobError, match=r"job\.json was written by a newer hwnas.*upgrade hwnas"):
        Job.open(folder)


def test_a_job_of_the_first_schema_is_read(folder: Path) -> None:
    edit(folder, schema_version=1, count_bias=True, counting=None, executor=None)
    (folder / "space.json").unlink()
    job = Job.open(folder)
    assert job.spec.counting.bias
    assert job.spec.executor == "local"
    assert job.space_record() is None


@pytest.mark.parametrize("content", ["", "{}", "[]", "{", '{"schema_version": "x"}', "\0"])
def test_a_damaged_request_is_named(folder: Path, content: str) -> None:
    (folder / "job.json").write_text(content)
    with pytest.raises(JobError, match=r"job\.json cannot be read: ") as told:
        Job.open(folder)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"width": [4, 8], "depth": [1, 2]}, "decision 'depth' is new"),
        ({"depth": [1]}, "decision 'depth' is new; decision 'width' is gone"),
        ({"width": [4, 8, 16]}, "decision 'width' has the choices 4, 8, 16 instead of 4, 8"),
        ({"width": [8, 4]}, "decision 'width' has the choices 8, 4 instead of 4, 8"),
        ({"width": [4.0, 8]}, "decision 'width' has the choices 4.0, 8 instead of 4, 8"),
        ({"width": [4, 8]}, ""),
    ],
)
def test_what_was_edited_in_a_space_is_said(now: dict[str, list], told: str, folder: Path) -> None:
    before = Job.open(folder).space_record()
    assert before is not None
    changed = space(now)
    assert what_changed(before, describe_space(changed)) == told
    assert (changed.fingerprint == space({"width": [4, 8]}).fingerprint) == (told == "")


def test_of_many_changes_the_first_are_said() -> None:
    before, now = space({"a": [1]}), space({f"d{i}": [1, 2] for i in range(9)})
    told = what_changed(describe_space(before), describe_space(now))
    assert told.endswith("; and 6 more")


def test_a_search_in_an_edited_space_says_what_changed(folder: Path) -> None:
    with pytest.raises(JobError, match="decision 'width' has the choices 4, 9 instead of 4, 8"):
        hwnas.search(
            space({"width": [4, 9]}),
            lambda model, data, report, *, seed: {"accuracy": 0.5},
            folder=folder,
            resume=True,
            accept_code_change=True,
        )
