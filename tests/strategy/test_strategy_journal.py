"""The journal: groups are written whole, a torn tail costs nothing, other tools can read it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from hwnas.errors import HwnasError, JobError
from hwnas.strategy import StudyStore


def fill(store: StudyStore, study: optuna.Study, trials: int) -> None:
    for i in range(trials):
        with store.transaction():
            trial = study.ask()
            trial.suggest_int("a", 0, 100)
            trial.suggest_categorical("b", ["x", "y"])
        with store.transaction():
            trial.set_user_attr("note", "ä" * i)
            trial.set_constraint("size", -1.0)
            study.tell(trial, float(i))


def same(one: list[optuna.trial.FrozenTrial], two: list[optuna.trial.FrozenTrial]) -> bool:
    facts = [
        [(t.number, t.params, t.user_attrs, t.values, t.state, t.constraints) for t in trials]
        for trials in (one, two)
    ]
    return facts[0] == facts[1]


def test_what_is_written_in_groups_reads_back(tmp_path: Path) -> None:
    """In this process, in a new one of ours, and by Optuna's own classes."""
    path = tmp_path / "journal"
    store = StudyStore(str(path), "s")
    study = store.create(["max"])
    fill(store, study, 20)
    assert same(study.trials, StudyStore(str(path), "s").load().trials)
    plain = optuna.load_study(storage=JournalStorage(JournalFileBackend(str(path))), study_name="s")
    assert same(study.trials, plain.trials)


def test_a_group_is_one_append(tmp_path: Path) -> None:
    """Nothing of a group is in the file before its end, all of it after."""
    path = tmp_path / "journal"
    store = StudyStore(str(path), "s")
    study = store.create(["max"])
    before = path.read_bytes()
    with store.transaction():
        trial = study.ask()
        trial.suggest_int("a", 0, 5)
        assert study.trials[0].params == trial.params
        assert path.read_bytes() == before
    assert path.read_bytes().count(b"\n") == before.count(b"\n") + 2


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_any_torn_tail_is_cut(tmp_path: Path, cut: int) -> None:
    """Wherever an append was cut off, the whole lines before it stay, and writing goes on."""
    path = tmp_path / "journal"
    store = StudyStore(str(path), "s")
    fill(store, store.create(["max"]), 3)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = StudyStore(str(path), "s")
    study = again.create(["max"])
    intact = whole[: whole.rfind(b"\n", 0, len(whole) - cut) + 1]
    assert path.read_bytes().startswith(intact + b'{"op_code":0,')
    fill(again, study, 2)
    assert same(study.trials, StudyStore(str(path), "s").load().trials)


def test_two_writers_take_turns(tmp_path: Path) -> None:
    """Two processes that write at once leave a journal in which every entry is whole."""
    path = tmp_path / "journal"
    StudyStore(str(path), "s").create(["max"])
    program = textwrap.dedent(
        f"""
        from hwnas.strategy import StudyStore
        store = StudyStore({str(path)!r}, "s")
        study = store.load()
        for i in range(40):
            with store.transaction():
                trial = study.ask()
                trial.suggest_int("a", 0, 100)
            study.tell(trial, 1.0)
        """
    )
    writers = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [w.wait(timeout=100) for w in writers] == [0, 0]
    trials = StudyStore(str(path), "s").load().trials
    assert len(trials) == 80
    assert all(t.value == 1.0 and "a" in t.params for t in trials)


def test_a_study_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="holds no study 's'"):
        StudyStore(str(tmp_path / "journal"), "s").load()


def test_a_password_stays_out_of_messages(monkeypatch) -> None:
    monkeypatch.setenv("HWNAS_PATIENCE", "0")
    with pytest.raises(HwnasError) as caught:
        StudyStore("postgresql://me:secret@127.0.0.1:1/db", "s").load()
    assert "secret" not in str(caught.value)
