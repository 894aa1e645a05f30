"""Tables of trials in the terminal."""

from __future__ import annotations

import io
import re
from typing import Any, Literal

from report_sample import BUDGET, complete, failed, job
from rich.console import Console, RenderableType

from hwnas._estimate import Estimate
from hwnas.budget import Budget
from hwnas.jobs import TrialRecord
from hwnas.report import rows_table, trial_rows, trials_table

RED = "\x1b[31m"


def _printed(table: RenderableType, *, colour: bool = False) -> str:
    file = io.StringIO()
    system: Literal["standard"] | None = "standard" if colour else None
    Console(file=file, width=200, force_terminal=colour, color_system=system).print(table)
    return file.getvalue()


def _numbers(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"^ *(\d+) +[★✓✗…] ", text, re.MULTILINE)]


def test_the_best_reward_comes_first_and_the_winner_has_a_star() -> None:
    trials = (
        complete(0, 0.90, 1.0, 50_000),
        complete(1, 0.99, 9.0, 50_000),
        complete(2, 0.95, 1.0, 50_000),
        TrialRecord(3, "running", {"kernel": 3}),
    )
    text = _printed(trials_table(job(trials)))
    assert _numbers(text) == [2, 0, 1, 3]
    assert re.search(r"^ *2 +★", text, re.MULTILINE)
    assert re.search(r"^ *1 +✗", text, re.MULTILINE)
    assert re.search(r"^ *3 +…", text, re.MULTILINE)


def test_costs_share_the_unit_of_the_budget_and_show_their_doubt() -> None:
    trials = (complete(0, 0.9, 1.0, 50_000, std=0.04), complete(1, 0.9, 0.5, 1_500, std=0.04))
    text = _printed(trials_table(job(trials)))
    assert "1.00 ±0.04" in text
    assert "0.50 ±0.04" in text
    assert "50.0" in text
    assert "1.5" in text
    assert " ms " in text
    assert " k " in text


def test_budgeted_costs_are_coloured_by_feasibility_and_say_their_excess() -> None:
    text = _printed(trials_table(job((complete(0, 0.9, 1.5, 50_000, std=0),))), colour=True)
    assert f"{RED}1.50 (+25 %)" in text
    assert re.search(r"\x1b\[32m *50\.0", text)


def test_failed_trials_come_below_with_their_reasons_and_last_lines() -> None:
    log = [f"line {n}" for n in range(9)]
    trials = (complete(0, 0.9, 1.0, 50_000), failed(1, "timeout", "longer than\n60 s", *log))
    text = _printed(trials_table(job(trials)))
    assert _numbers(text) == [0]
    assert "1 failed" in text
    assert "trial 1 timeout: longer than 60 s" in text
    assert "line 8" in text
    assert "line 5" not in text


def test_what_a_user_or_a_trial_wrote_is_shown_literally() -> None:
    arch = {"[red]op": "[bold]conv[/bold]"}
    trials = (
        complete(0, 0.9, 1.0, 50_000, arch=arch),
        failed(1, "error", "[link=x]y[/link] \x1b[2J\x1b]0;owned\x07\u202egone", "\x1b[31mlog[/]"),
    )
    text = _printed(trials_table(job(trials)))
    assert "[red]op" in text
    assert "[bold]conv[/bold]" in text
    assert "[link=x]y[/link] gone" in text
    assert "log[/]" in text
    assert "\x1b" not in text
    assert "owned" not in text
    assert "[red]op" in _printed(rows_table(job(trials)))


def test_a_job_without_results_says_so() -> None:
    assert "no trial has ended yet" in _printed(trials_table(job()))
    assert "no trial succeeded" in _printed(trials_table(job((failed(0, "exit", "exit code 1"),))))


def test_rows_and_decisions_can_be_too_many() -> None:
    arch = {f"layer{n}": n for n in range(30)}
    trials = tuple(complete(n, 0.9 + n / 100, 1.0, 50_000, arch=arch) for n in range(5))
    text = _printed(trials_table(job(trials), limit=2))
    assert _numbers(text) == [4, 3]
    assert "3 more trials are not shown" in text
    assert "30 decisions of each arch are not shown" in text
    assert "layer7" not in text


def test_a_limited_metric_is_coloured_too() -> None:
    budget = Budget.parse("recall >= 0.8", metrics=["recall"])
    trial = TrialRecord(
        0,
        "complete",
        {"kernel": 3},
        metrics={"accuracy": 0.9, "recall": 0.6},
        reward=0.7,
        feasible=False,
        violations={"recall": 0.25},
    )
    text = _printed(trials_table(job((trial,), budget=budget)), colour=True)
    assert f"{RED}0.6000 (+25 %)" in text


def test_rows_are_named_as_on_a_trials_page() -> None:
    budget = Budget.parse("flops <= 0.8 M")
    arch = {"kernel_1": 3, "filters_1": 4}
    costs = {"flops": Estimate(771_000.0), "latency@pixel6": Estimate(1.25, 0.1)}
    facts: dict[str, Any] = {
        "step": 2,
        "elapsed": 12.5,
        "costs": costs,
        "metrics": {"accuracy": 0.98},
    }
    trials = (
        TrialRecord(1, "complete", arch, reward=0.98, feasible=True, **facts),
        TrialRecord(2, "complete", arch, reward=0.99, feasible=True, **facts),
        failed(3, "error", "boom"),
    )
    best, second, dead = trial_rows(job(trials, budget=budget))
    assert best == {
        "id": 2,
        "state": "complete",
        "reward": 0.99,
        "step": 2,
        "elapsed": 12.5,
        "kernel_1": 3,
        "filters_1": 4,
        "flops_million": 0.771,
        "latency@pixel6_milliseconds": 1.25,
        "top_1_accuracy": 0.98,
    }
    assert second["id"] == 1
    assert dead["failure"] == "error: boom"
    text = _printed(rows_table(job(trials, budget=budget)))
    assert "0.771" in text
    assert "12 s" in text or "13 s" in text


def test_the_budget_of_the_samples_is_as_written() -> None:
    assert str(BUDGET) == "latency@pixel6 <= 1.2 ms, params <= 60 k"
