"""The life cycle of a job: what may follow what, whoever asks, and the command that cancels."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import results, start, wait_for

from hwnas.errors import JobError
from hwnas.jobs import Store
from hwnas.jobs._folder.life import _NEXT, LifeCycle

STATES = ["created", "running", "stopping", "done", "failed", "cancelled"]


@given(st.lists(st.sampled_from(STATES), max_size=12))
def test_only_legal_transitions_are_kept(asked: list[str]) -> None:
    store = Store("memory://")
    life = LifeCycle(store)
    kept: list[str] = []
    for state in asked:
        if state in _NEXT[kept[-1] if kept else None]:  # type: ignore[index]
            life.turn(state)  # type: ignore[arg-type]
            kept.append(state)
        else:
            with pytest.raises(JobError, match=f"cannot become {state}"):
                life.turn(state)  # type: ignore[arg-type]
    assert len(store.names("state")) == len(kept)
    now = life.now()
    assert (now.state if now else None) == (kept[-1] if kept else None)
    assert life.ended == (bool(kept) and kept[-1] in ("done", "failed", "cancelled"))


def test_of_many_that_end_a_job_one_does(tmp_path: Path) -> None:
    life = LifeCycle(Store(tmp_path))
    life.turn("running")
    refused = []

    def end(state: str) -> None:
        try:
            LifeCycle(Store(tmp_path)).turn(state)  # type: ignore[arg-type]
        except JobError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=end, args=(one,)) for one in STATES[3:] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == len(threads) - 1
    assert Store(tmp_path).names("state") == ["state/1", "state/2"]


SEARCH = (
    "nets:small", "--train", "nets:quick", "--set", "pause=0.15", "--trials", "12", "--strategy",
    "random", "--job", "job",
)  # fmt: skip


def test_cancel_stops_a_search_softly_and_it_can_go_on(hwnas, folder: Path) -> None:
    process = start(folder, *SEARCH)
    wait_for(lambda: len(results(folder)) >= 1, process)
    assert "asked job to stop" in hwnas("cancel", "job").stdout
    process.communicate(timeout=60)
    assert process.returncode == 0
    told = json.loads(hwnas("show", "job", "--json").stdout)
    assert (told["state"], told["active"]) == ("cancelled", False)
    assert 1 <= len(told["trials"]) < 12
    assert {one["state"] for one in told["trials"]} == {"complete"}
    assert "cancelled: nets:small" in hwnas("show", "job").stdout
    again = hwnas("cancel", "job", check=False)
    assert again.returncode == 1
    assert "job is cancelled, so it cannot become cancelled" in again.stderr

    hwnas("search", "--resume", "--job", "job", "--trials", "5")
    told = json.loads(hwnas("show", "job", "--json").stdout)
    assert told["state"] == "done"


def test_a_search_that_was_killed_is_cut_off_and_can_be_cancelled(hwnas, folder: Path) -> None:
    process = start(folder, *SEARCH)
    wait_for(lambda: len(results(folder)) >= 1, process)
    assert "running: nets:small" in hwnas("show", "job").stdout
    process.kill()
    process.communicate()
    assert "cut off: nets:small" in hwnas("show", "job").stdout
    assert "go on with: hwnas search --resume --job job" in hwnas("cancel", "job").stdout
    assert json.loads(hwnas("show", "job", "--json").stdout)["state"] == "cancelled"


def test_a_search_that_fails_says_so(hwnas, folder: Path) -> None:
    failing = ["nets:raises" if one == "nets:quick" else one for one in SEARCH[:3]]
    done = hwnas(*("search", *failing, "--trials", "3", "--max-failed", "0", "--job", "job"),
                 check=False)  # fmt: skip
    assert done.returncode == 1
    state = (folder / "job/state/3").read_text()
    assert json.loads(state)["state"] == "failed"
    assert "more than the 0 allowed" in json.loads(state)["reason"]
