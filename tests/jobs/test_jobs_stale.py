"""Trials that show no life: run again, and told apart from those that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import hwnas
from hwnas.errors import JobError
from hwnas.jobs import ExecutorFactory, Observer, make_executor
from hwnas.jobs._executors.local import LocalExecutor
from hwnas.jobs._records.attempts import MOST_STALE
from hwnas.report import to_json


@dataclass
class Losing(LocalExecutor):
    """Loses the first `times` attempts at each trial."""

    times: int = 0
    begun: Counter[int] = field(default_factory=Counter)

    def _start(self, number: int, arch: Mapping[str, Any], folder: Path) -> None:
        self.begun[number] += 1
        if self.begun[number] > self.times:
            super()._start(number, arch, folder)
            return
        lost = {"type": "failed", "trial": number, "kind": "stale", "reason": "no sign of life"}
        self.events.put(lost)


class Listener(Observer):
    def __init__(self) -> None:
        self.kinds: list[str] = []

    def retried(self, number: int, kind: str, reason: str) -> None:
        self.kinds.append(kind)


def losing(times: int) -> ExecutorFactory:
    options = make_executor("local").options
    return lambda *arguments: Losing(options, *arguments, times=times)


@pytest.fixture
def nets(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(folder)
    import nets

    return nets


def test_a_stale_trial_uses_up_no_retry(nets) -> None:
    """Attempts that vanished count for nothing, and are recorded."""
    listener = Listener()
    options = {"trials": 2, "max_failed": 0, "retries": 0, "folder": "job", "observer": listener}
    found = hwnas.search(nets.small, nets.idle, executor=losing(2), **options)
    assert [(t.state, t.stale) for t in found.trials] == [("complete", 2)] * 2
    assert listener.kinds == ["stale"] * 4


def test_a_trial_that_is_always_stale(nets) -> None:
    """There is an end to it, and it is not called failed."""
    with pytest.raises(JobError, match=r"1 trial failed, more than the 0 allowed.*no sign of life"):
        hwnas.search(
            nets.small, nets.idle, executor=losing(99), trials=1, max_failed=0, folder="job"
        )
    view = hwnas.jobs.read_job("job")
    (trial,) = view.trials
    assert (trial.state, trial.stale) == ("stale", MOST_STALE + 1)
    counts = to_json(view)["counts"]
    assert (counts["failed"], counts["stale"]) == (0, 1)
