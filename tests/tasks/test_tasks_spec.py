"""Tasks named by text."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwnas.errors import DataError, UsageError
from hwnas.tasks import Idx, task_from_spec


def test_an_unknown_task_lists_those_that_exist() -> None:
    with pytest.raises(UsageError, match="unknown task 'digit'; known: cifar10, digits"):
        task_from_spec("digit")


def test_a_task_over_files_needs_a_path() -> None:
    with pytest.raises(UsageError, match="task 'idx' needs a path: idx:PATH"):
        task_from_spec("idx")


def test_digits_take_no_path() -> None:
    with pytest.raises(UsageError, match="task 'digits' takes no path"):
        task_from_spec("digits:data")


@pytest.mark.parametrize("name", ["idx", "cifar10", "images"])
def test_a_path_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        task_from_spec(f"{name}:{tmp_path / 'nowhere'}")


def test_a_question_mark_in_the_path_survives(idx_folder: Path) -> None:
    strange = idx_folder.rename(idx_folder.with_name("what?here"))
    task = Idx(str(strange))
    assert task.spec == f"idx:{strange}?"
    assert task_from_spec(task.spec).spec == task.spec
    assert task_from_spec(Idx(str(strange), limit=9).spec).spec == f"idx:{strange}?limit=9"


def test_a_relative_path_becomes_absolute_and_a_tilde_is_home(
    idx_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(idx_folder.parent)
    monkeypatch.setenv("HOME", str(idx_folder.parent))
    assert task_from_spec("idx:idx").spec == f"idx:{idx_folder}"
    assert task_from_spec("idx:~/idx").spec == f"idx:{idx_folder}"


def test_options_at_their_default_are_left_out(idx_folder: Path) -> None:
    spec = f"idx:{idx_folder}?augment=shift&limit=none"
    assert task_from_spec(spec).spec == f"idx:{idx_folder}"
