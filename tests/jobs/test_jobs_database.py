"""A study in PostgreSQL, which teams share, and which may go away."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from processes import results, start, wait_for

from hwnas.errors import StoreError, UsageError
from hwnas.strategy import StudyStore
from hwnas.strategy._writer import SoleWriter
from servers import PostgreSQL, free_port

SEARCH = (
    "nets:small", "--train", "nets:quick", "--set", "pause=0.2", "--trials", "8", "--parallel",
    "2", "--strategy", "random", "--job", "job", "--storage", "env:STUDY",
)  # fmt: skip
LOST = sqlalchemy.exc.OperationalError("COMMIT", {}, Exception("connection lost"))


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    # Not below pytest's own folder, which another user may not enter.
    with tempfile.TemporaryDirectory(prefix="hwnas-postgresql-") as folder:
        running = PostgreSQL(Path(folder))
        yield running
        running.kill()


@pytest.fixture
def study(server: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> str:
    url = server.database()
    monkeypatch.setenv("STUDY", url)
    return url


def states(hwnas) -> list[str]:
    trials = json.loads(hwnas("show", "job", "--json").stdout)["trials"]
    assert len({trial["number"] for trial in trials}) == len(trials)
    return [trial["state"] for trial in trials]


def test_a_search_is_killed_and_resumed(hwnas, folder: Path, study: str) -> None:
    """As with a journal; and the password is in no file of the job."""
    process = start(folder, *SEARCH)
    wait_for(lambda: len(results(folder)) >= 3, process)
    process.kill()
    process.communicate()
    hwnas("search", "--resume", "--job", "job")
    assert states(hwnas) == ["complete"] * 8
    for file in (folder / "job").rglob("*"):
        assert file.is_dir() or PostgreSQL.PASSWORD.encode() not in file.read_bytes(), file


def test_a_database_that_goes_away_is_waited_for(
    hwnas, folder: Path, study: str, server: PostgreSQL
) -> None:
    """Killed and started again beneath a running search, which notices nothing but a pause."""
    process = start(folder, *SEARCH)
    wait_for(lambda: len(results(folder)) >= 2, process)
    server.kill()
    time.sleep(1.5)
    server.start()
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert PostgreSQL.PASSWORD not in stdout + stderr
    assert states(hwnas) == ["complete"] * 8


def test_a_database_that_stays_away_stops_the_search(
    hwnas, folder: Path, study: str, server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so in a line, and the job goes on when the database is back."""
    monkeypatch.setenv("HWNAS_PATIENCE", "1")
    process = start(folder, *SEARCH)
    wait_for(lambda: len(results(folder)) >= 2, process)
    server.kill()
    try:
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "was out of reach for 1 s" in stderr
        assert "what is done is kept, go on with: hwnas search --resume --job job" in stderr
        assert "Traceback" not in stderr
        assert PostgreSQL.PASSWORD not in stderr
        shown = hwnas("show", "job", check=False)
        assert shown.returncode == 1
        assert "was out of reach for 1 s" in shown.stderr
    finally:
        server.start()
    hwnas("search", "--resume", "--job", "job")
    assert states(hwnas) == ["complete"] * 8


def test_what_was_done_before_the_connection_broke_is_not_done_twice(
    study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The confirmation of each write is lost once, after the write."""
    from optuna.storages._rdb.storage import RDBStorage

    store = StudyStore("env:STUDY", "job")
    found = store.create(["max"])
    monkeypatch.setattr(RDBStorage, "_create_new_trial", _lost_once(RDBStorage._create_new_trial))
    trial = found.ask()
    with store.transaction():
        trial.suggest_int("x", 0, 9)
    monkeypatch.setattr(SoleWriter, "_one_transaction", _lost_once_after(SoleWriter))
    with store.transaction():
        trial.set_user_attr("metrics", {"accuracy": 0.5})
        found.tell(trial, 0.5)
    written = StudyStore("env:STUDY", "job").load()
    assert [t.state for t in written.trials] == [t.state for t in found.trials]
    told = [t for t in written.trials if t.params]
    assert [t.state for t in told] == [optuna.trial.TrialState.COMPLETE]
    assert told[0].user_attrs["metrics"] == {"accuracy": 0.5}
    # Whoever writes the study clears away what was created twice.
    assert [t.state.name for t in found.trials if not t.params] == ["RUNNING"]


def _lost_once(method):
    calls = []

    def lossy(*arguments, **options):
        done = method(*arguments, **options)
        calls.append(1)
        if len(calls) == 1:
            raise optuna.exceptions.StorageInternalError("lost") from LOST
        return done

    return lossy


def _lost_once_after(kind):
    whole = kind._one_transaction
    calls = []

    @contextmanager
    def lossy(writer):
        with whole(writer):
            yield
        calls.append(1)
        if len(calls) == 1:
            raise LOST

    return lossy


def test_a_wrong_password_is_told_at_once(study: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDY", study.replace(PostgreSQL.PASSWORD, "another-secret"))
    began = time.monotonic()
    with pytest.raises(StoreError, match="password authentication failed") as told:
        StudyStore("env:STUDY", "job")
    assert "secret" not in str(told.value)
    assert time.monotonic() - began < 30


def test_no_server(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("HWNAS_PATIENCE", "0.3")
    monkeypatch.setenv("STUDY", f"postgresql+psycopg://u:secret@127.0.0.1:{free_port()}/none")
    with pytest.raises(StoreError, match=r"out of reach for 0.3 s: .*refused") as told:
        StudyStore("env:STUDY", "job")
    assert "secret" not in str(told.value) + caplog.text
    assert "waiting for it" in caplog.text


def test_a_wrong_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWNAS_PATIENCE", "long")
    monkeypatch.setenv("STUDY", f"postgresql+psycopg://u@127.0.0.1:{free_port()}/none")
    with pytest.raises(UsageError, match="HWNAS_PATIENCE is 'long', not a number"):
        StudyStore("env:STUDY", "job")


def test_an_unknown_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDY", "nosql://u:secret@host/none")
    with pytest.raises(StoreError, match=r"the database nosql://u:\.\.\.@host/none: .*plugin"):
        StudyStore("env:STUDY", "job")
