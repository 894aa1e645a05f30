"""Stage 2 inside a search: every so many trials the best are trained in full."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from processes import kill_tree, start, wait_for
from torch import nn

import hwnas
from hwnas.errors import JobError, UsageError

SEARCH = (
    "nets:small", "--train", "nets:quick", "--trials", "8", "--parallel", "2", "--strategy",
    "random", "--seed", "3", "--job", "job", "--train-every", "3", "--train-top", "2",
)  # fmt: skip


def space() -> hwnas.FunctionSpace:
    return hwnas.FunctionSpace({"width": list(range(1, 21))}, lambda a: nn.Linear(4, a["width"]))


def train(model, data, report, *, seed: int, epochs: int = 1, full: str = ""):
    """Better with more epochs; full training of the widths in `full` fails."""
    width = model.out_features
    if epochs > 1 and str(width) in full.split(","):
        raise OSError("no room")
    return {"accuracy": 1 - 1 / (width + epochs)}


def run(folder: Path, **options) -> hwnas.Result:
    settings = {"trials": 7, "strategy": "random", "train_every": 3, "train_top": 2, **options}
    settings.setdefault("train_options", {"epochs": 9})
    return hwnas.search(space(), train, folder=folder / "job", **settings)


def test_the_best_so_far_are_trained(tmp_path: Path) -> None:
    """After three trials the two best, after six the two best of the others."""
    result = run(tmp_path)
    (full,) = result.view.train_jobs
    assert full.where == str(tmp_path / "job/train/in-search")

    def best(count: int, but: set[int]) -> list[int]:
        known = [t for t in result.trials[:count] if t.number not in but]
        return [t.number for t in sorted(known, key=lambda t: -(t.reward or 0))[:2]]

    first = best(3, set())
    chosen = first + best(6, set(first))
    assert [t.chosen for t in full.trials] == chosen
    assert [t.state for t in full.trials] == ["complete"] * 4
    arch_of = {t.number: t.arch["width"] for t in result.trials}
    assert [t.metrics["accuracy"] for t in full.trials] == pytest.approx(
        [1 - 1 / (arch_of[n] + 9) for n in chosen]
    )
    assert full.winner is not None
    # The search's own winner is one of stage 1.
    assert result.best.metrics["accuracy"] == max(t.metrics["accuracy"] for t in result.trials)
    with pytest.raises(JobError, match="is a train job itself"):
        hwnas.train(tmp_path / "job/train/in-search", [0])


def test_it_goes_on_with_a_longer_search(tmp_path: Path) -> None:
    """Nothing is trained in full twice, a failure neither; a round without anything new passes."""
    wide = run(tmp_path, trials=3, train_top=3).trials
    (full,) = hwnas.Result.open(tmp_path / "job", space()).view.train_jobs
    assert sorted(t.chosen for t in full.trials) == [0, 1, 2]
    again = run(tmp_path, trials=6, resume=True)
    (longer,) = again.view.train_jobs
    assert len(longer.trials) == 6
    assert [t.started for t in longer.trials[:3]] == [t.started for t in full.trials]
    failing = str(wide[0].arch["width"])
    options = {"epochs": 9, "full": failing}
    other = run(tmp_path / "other", trials=6, train_top=6, train_options=options)
    (failed,) = other.view.train_jobs
    assert [t.state for t in failed.trials].count("failed") == 1
    assert len({t.chosen for t in failed.trials}) == 6


def test_options_are_checked_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unexpected keyword argument 'epoch'"):
        run(tmp_path, train_options={"epoch": 9})
    with pytest.raises(UsageError, match="greater than or equal to 1"):
        run(tmp_path, train_every=0)
    assert not (tmp_path / "job").exists()


def test_a_full_training_has_a_limit(hwnas, folder: Path) -> None:
    """It fails at its own; the search, which has none, goes on."""
    longer = ("--train-set", "pause=3600", "--train-timeout", "1")
    hwnas("search", *("4" if word == "8" else word for word in SEARCH), *longer)
    job = json.loads(hwnas("show", "job", "--json").stdout)
    assert [t["state"] for t in job["trials"]] == ["complete"] * 4
    (train,) = job["train_jobs"]
    assert [t["failure"]["kind"] for t in train["trials"]] == ["timeout"] * 2


def test_kill_and_resume_in_stage_2(hwnas, folder: Path) -> None:
    """The trials that were chosen stay so, and each is trained once."""
    process = start(folder, *SEARCH, "--train-set", "pause=0.6")
    full = folder / "job/train/in-search"
    wait_for(lambda: len(list(full.glob("trials/*/manifest.json"))) >= 1, process)
    kill_tree(process)
    chosen = json.loads((full / "job.json").read_text())["parent"]["chosen"]
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("job/**/manifest.json")}

    hwnas("search", "--resume", "--job", "job")
    job = json.loads(hwnas("show", "job", "--json").stdout)
    (train,) = job["train_jobs"]
    assert [t["state"] for t in job["trials"]] == ["complete"] * 8
    assert [t["state"] for t in train["trials"]] == ["complete"] * 4
    numbers = [t["chosen"] for t in train["trials"]]
    assert numbers[: len(chosen)] == [trial["number"] for trial in chosen]
    assert len(set(numbers)) == 4
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    # Those in flight at the kill, two at most, were begun once more.
    assert 12 <= len((folder / "trained.txt").read_text().splitlines()) <= 14


def test_options_that_go_together(hwnas) -> None:
    refused = hwnas(
        "search", "nets:small", "--train", "nets:quick", "--train-top", "2", check=False
    )
    assert refused.returncode == 2
    assert "go with --train-every" in refused.stderr
