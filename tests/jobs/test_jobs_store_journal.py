"""The study in a store: what is told is kept, in order, once, whoever dies or is out of reach."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import JobError, StoreError
from hwnas.jobs import Store
from hwnas.jobs._folder.journal import StoreJournal
from hwnas.strategy import StudyStore

optuna.logging.set_verbosity(optuna.logging.ERROR)


def opened(store: Store) -> tuple[StudyStore, optuna.Study]:
    found = StudyStore(StoreJournal(store), "s")
    return found, found.create(["max"])


def one_trial(store: StudyStore, study: optuna.Study, steps: int = 0) -> None:
    with store.transaction():
        trial = study.ask()
        trial.suggest_categorical("width", [4, 8])
    for step in range(steps):
        trial.report(float(step), step)
    with store.transaction():
        trial.set_user_attr("metrics", {"accuracy": 0.5})
        study.tell(trial, 0.5)


def facts(study: optuna.Study) -> list[tuple]:
    return [(t.number, t.state, t.params, t.user_attrs, t.values) for t in study.trials]


def test_a_reader_sees_what_was_told_and_then_what_came_after() -> None:
    store = Store("memory://")
    writer, study = opened(store)
    one_trial(writer, study)
    reader = StudyStore(StoreJournal(store), "s").load()
    assert facts(reader) == facts(study)
    one_trial(writer, study)
    assert facts(reader) == facts(study)
    assert [t.number for t in reader.trials] == [0, 1]


def test_a_trial_with_many_steps_is_a_few_objects() -> None:
    store = Store("memory://")
    writer, study = opened(store)
    before = len(store.names())
    one_trial(writer, study, steps=500)
    assert len(store.names()) - before <= 4
    again = StudyStore(StoreJournal(store), "s").load()
    assert again.trials[0].intermediate_values == {step: float(step) for step in range(500)}


def test_who_only_reads_cannot_write() -> None:
    store = Store("memory://")
    opened(store)
    reader = StudyStore(StoreJournal(store), "s").load()
    with pytest.raises(JobError, match="was opened to be read"):
        reader.ask()


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_a_writer_whose_place_was_taken_adds_nothing(turns: list[tuple[bool, bool]]) -> None:
    """Writers come and go, at any moment; each old one may try to go on."""
    store = Store("memory://")
    live = opened(store)
    old = []
    told = 0
    for replaced, old_tries in turns:
        if replaced:
            old.append(live)
            live = opened(store)
        if old_tries and old:
            with pytest.raises(JobError, match="another process goes on"):
                one_trial(*old[-1])
        one_trial(*live)
        told += 1
    trials = StudyStore(StoreJournal(store), "s").load().trials
    assert [t.number for t in trials] == list(range(told))


class Away(Store):
    """A store whose answers get lost: the object is written, and the caller is told otherwise."""

    losing = 0

    def create(self, name: str, data: bytes) -> bool:
        done = super().create(name, data)
        if self.losing:
            self.losing -= 1
            raise StoreError("the answer was lost")
        return done


def test_after_an_answer_that_never_came_the_next_writer_has_all(tmp_path: Path) -> None:
    store = Away(tmp_path)
    writer, study = opened(store)
    one_trial(writer, study)
    store.losing = 1
    with pytest.raises(StoreError):
        one_trial(writer, study)
    _, again = opened(Store(tmp_path))
    assert [t.state.name for t in again.trials] == ["COMPLETE", "RUNNING"]
    assert again.trials[1].params["width"] in (4, 8), "the group was written as a whole"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged"),
        (b"no json\n", "is damaged"),
        (b'{"version": 2}\n', "is of version 2"),
        (b"\x80\x04\x95", "is damaged"),
    ],
)
def test_a_damaged_segment_is_named(content: bytes, message: str) -> None:
    store = Store("memory://")
    opened(store)
    name = store.names()[-1]
    store.put(name, content)
    with pytest.raises((StoreError, JobError), match=rf"{name} {message}"):
        StudyStore(StoreJournal(store), "s")


def test_a_segment_that_is_gone_is_named() -> None:
    store = Store("memory://")
    opened(store)
    store.delete(store.names()[0])
    with pytest.raises(StoreError, match="00000001 is gone"):
        StudyStore(StoreJournal(store), "s")
