"""`--json`: strict JSON that says all a job knows."""

from __future__ import annotations

import json
import math
from typing import Any

from report_sample import complete, failed, job, realistic

from hwnas._estimate import Estimate
from hwnas.budget import Budget
from hwnas.jobs import Failure, TrialRecord
from hwnas.report import to_json


def _strict(data: dict[str, Any]) -> Any:
    return json.loads(json.dumps(data, allow_nan=False))


def test_a_trial_is_told_completely() -> None:
    trial = complete(4, 0.9, 1.0, 50_000, std=0.1)
    data = _strict(to_json(job((trial,))))
    (told,) = data["trials"]
    assert told["number"] == 4
    assert told["state"] == "complete"
    assert told["arch"] == {"kernel": 3, "width": 16}
    assert told["metrics"]["accuracy"] == 0.9
    assert told["costs"]["latency@pixel6"] == {"value": 1.0, "std": 0.1}
    assert told["feasible"] is True
    assert told["violations"] == dict(trial.violations)
    assert told["started"] == "2026-05-04T09:30:20+00:00"
    assert data["winner"] == 4
    assert data["pareto"] == [4]


def test_a_budget_is_told_in_canonical_units_and_as_written() -> None:
    data = _strict(to_json(job(budget=Budget.parse("latency@pixel6 <= 250 us [confidence=0.9]"))))
    assert data["budget"]["text"] == "latency@pixel6 <= 250 us [confidence=0.9]"
    (constraint,) = data["budget"]["constraints"]
    assert constraint["limit"] == 0.25
    assert constraint["unit"] == "us"
    assert constraint["confidence"] == 0.9


def test_the_trials_are_counted() -> None:
    trials = (
        complete(0, 0.9, 1.0, 50_000),
        complete(1, 0.9, 9.0, 50_000),
        failed(2, "timeout", "longer than 60 s", "epoch 1"),
        TrialRecord(3, "running", {"kernel": 3}),
        TrialRecord(4, "stale", {}, failure=Failure("stale", "no sign of life"), stale=6),
    )
    data = _strict(to_json(job(trials)))
    counts = {"complete": 2, "feasible": 1, "failed": 1, "stale": 1, "running": 1}
    assert data["counts"] == counts
    assert (data["trials"][2]["stale"], data["trials"][4]["stale"]) == (0, 6)
    assert data["trials"][2]["failure"] == {
        "kind": "timeout",
        "reason": "longer than 60 s",
        "log": ["epoch 1"],
    }
    assert data["trials"][3]["reward"] is None


def test_what_is_not_finite_becomes_null() -> None:
    trial = TrialRecord(
        0,
        "failed",
        {"rate": math.inf},
        metrics={"loss": math.nan},
        costs={"macs": Estimate(math.inf, math.nan)},
        violations={"macs": math.inf},
    )
    (told,) = _strict(to_json(job((trial,))))["trials"]
    assert told["arch"] == {"rate": None}
    assert told["metrics"] == {"loss": None}
    assert told["costs"] == {"macs": {"value": None, "std": None}}
    assert told["violations"] == {"macs": None}


def test_the_size_of_a_space_is_exact() -> None:
    assert _strict(to_json(job(size=3**200)))["space"]["size"] == 3**200


def test_an_empty_job_and_a_large_one_are_strict_json() -> None:
    assert _strict(to_json(job()))["trials"] == []
    assert len(_strict(to_json(realistic(200)))["trials"]) == 200
