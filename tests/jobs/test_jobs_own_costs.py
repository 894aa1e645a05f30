"""Costs of one's own in a search: limited, recorded, shown, and found again on resume."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import nn

import hwnas
from hwnas.cost import CostTable, FunctionCost
from hwnas.errors import CostError, HwnasError, InfeasibleError, JobError, UsageError


def build(arch: dict[str, int]) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, arch["width"]), nn.Linear(arch["width"], 10))


def train(model, data, report, *, seed: int):
    return {"accuracy": 0.5}


space = hwnas.FunctionSpace({"width": list(range(4, 36, 4)), "extra": [1, 2, 3]}, build)


def total(arch: dict[str, int]) -> float:
    return float(arch["width"] + arch["extra"])


def table() -> CostTable:
    return CostTable.of("sum", space, [([d.label], lambda a: total({"width": 0, "extra": 0, **a}))
                                       for d in space.decisions])  # fmt: skip


def run(folder: Path, **options):
    settings = {"trials": 4, "strategy": "random", "folder": folder / "job", **options}
    return hwnas.search(space, train, **settings)


def test_from_the_command_line(hwnas, folder: Path) -> None:
    """By reference and renamed; each trial has it, so have JSON, report and card."""
    done = hwnas(
        "search", "nets:small", "--train", "nets:quick", "--trials", "3", "--job", "job",
        "--cost", "nets:energy_guess", "--cost", "latency@phone=nets:energy_guess",
        "--budget", "energy_guess <= 40, latency@phone >= 20 ms",
        "--objective", "max accuracy, min energy_guess", "--strategy", "random",
    )  # fmt: skip
    assert "energy_guess is asked for one arch at a time" in done.stdout
    hwnas("search", "--resume", "--job", "job", "--trials", "5")
    job = json.loads(hwnas("show", "job", "--json").stdout)
    assert len(job["trials"]) == 4, "four archs keep both limits"
    for trial in job["trials"]:
        guess = trial["costs"]["energy_guess"]["value"]
        assert guess == 3 * trial["arch"]["width"] <= 40
        assert trial["costs"]["latency@phone"]["value"] == guess >= 20
        assert trial["feasible"]
    hwnas("report", "job")
    assert "energy_guess" in (folder / "job/report.html").read_text()
    hwnas("export", "job", "winner")
    assert "energy\\_guess" in (folder / "winner/card.md").read_text()
    again = json.loads(hwnas("measure", "winner", "--json").stdout)
    assert again["feasible"]
    assert [row["measured"] for row in again["constraints"]] == [False, False]


def test_a_table_and_a_function(tmp_path: Path) -> None:
    """The table's limits hold by construction, the function's by asking, once for each arch."""
    asked: list[tuple[int, int]] = []

    def slow(arch: dict[str, int]) -> float:
        asked.append((arch["width"], arch["extra"]))
        return total(arch)

    result = run(tmp_path, costs=[table(), slow], budget="sum <= 20, slow >= 10")
    for trial in result.trials:
        assert trial.costs["sum"].value == trial.costs["slow"].value == total(trial.arch)
        assert 10 <= total(trial.arch) <= 20
    assert len(set(asked)) == len(asked)


def test_resume_wants_the_objects_again(tmp_path: Path) -> None:
    """What cannot be stored must be given again; what can be imported is found."""
    first = run(tmp_path, costs=[table(), total], budget="sum <= 20", trials=2)
    with pytest.raises(JobError, match=r"cost 'sum' of .* was given as an object; give it again"):
        run(tmp_path, resume=True)
    with pytest.raises(JobError, match="other costs: 'more'"):
        run(tmp_path, resume=True, costs=[table(), table().renamed("more")])
    more = run(tmp_path, costs=[table()], resume=True)
    assert [t.arch for t in more.trials[:2]] == [t.arch for t in first.trials]
    assert [t.costs["total"].value for t in more.trials] == [total(t.arch) for t in more.trials]
    assert all(t.costs["sum"].value <= 20 for t in more.trials)


def test_a_cost_that_fails_for_an_arch_fails_its_trial(tmp_path: Path) -> None:
    """Where no limit names it; with a limit, the arch would not have been proposed."""

    def picky(arch: dict[str, int]) -> float:
        if arch["extra"] == 2:
            raise ValueError("no twos")
        return 1.0

    result = run(tmp_path, costs=[picky], trials=8, max_failed=8)
    for trial in result.trials:
        assert (trial.failure is not None) == (trial.arch["extra"] == 2)
    assert "no twos" in next(t.failure.reason for t in result.trials if t.failure)
    kept = run(tmp_path / "b", costs=[picky], budget="picky <= 2", trials=8)
    assert {t.arch["extra"] for t in kept.trials} <= {1, 3}


other = hwnas.FunctionSpace({"width": [4, 8]}, build)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"costs": ["nets:nothing"]}, HwnasError, "nets"),
        ({"costs": [table().renamed("accuracy")]}, UsageError, "metric of the trainer"),
        ({"costs": [table().renamed("macs")]}, UsageError, "computed already"),
        ({"costs": [table(), table()]}, UsageError, "two costs"),
        ({"costs": [FunctionCost("f", other, total)]}, CostError, "another space"),
        ({"costs": [table()], "budget": "sum <= 1"}, InfeasibleError, "the nearest has sum 5"),
        ({"costs": [total], "budget": "total <= 1"}, InfeasibleError, "no arch was found"),
        ({"budget": "total <= 1"}, HwnasError, "unknown metric 'total'"),
    ],
)
def test_mistakes_are_found_before_anything_is_written(tmp_path, options, error, text) -> None:
    with pytest.raises(error, match=text) as caught:
        run(tmp_path, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "job").exists()
