"""`hwnas profile` and `hwnas estimate`, from outside."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwnas.cli import main
from hwnas.cost import load_cost
from hwnas.device import MeasurementStore
from hwnas.zoo import load_space

SPACE = ("mnist_cnn", "--input-shape", "1,28,28")
SHORT = ("--device", "board=torch", "--time-cap", "0.01", "--store", "store.sqlite")


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("profile")


@pytest.fixture
def run(work: Path, monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """The command, in this process: PyTorch is imported once for all."""
    monkeypatch.chdir(work)

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hwnas", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code, *capsys.readouterr())

    return command


@pytest.fixture
def table(run, work: Path) -> str:
    """The table of the space: measured once, and found in the store afterwards."""
    code, _, problem = run("profile", *SPACE, *SHORT, "--out", "board.npz", "--json")
    assert (code, problem) == (0, "")
    return "board.npz"


def test_count_and_time_come_first(run, work: Path) -> None:
    code, text, _ = run("profile", *SPACE, *SHORT, "--store", "other.sqlite", "--dry-run")
    assert code == 0
    assert "27 distinct blocks: about " in text
    assert "device board, runtime torch" in text
    with MeasurementStore(work / "other.sqlite") as store:
        assert len(store) == 0


def test_measured_once_and_found_again(run, table: str, work: Path) -> None:
    with MeasurementStore(work / "store.sqlite") as store:
        assert len(store) == 27
    code, text, _ = run("profile", *SPACE, *SHORT, "--out", "again.npz")
    assert code == 0
    assert "27 distinct blocks, 27 of them measured before\n" in text
    with MeasurementStore(work / "store.sqlite") as store:
        assert len(store) == 27
    space = load_space("mnist_cnn", (1, 28, 28), None)
    first, again = (load_cost(f"x={work / name}", space) for name in (table, "again.npz"))
    archs = [space.sample(np.random.default_rng(seed)) for seed in range(5)]
    assert [first(arch) for arch in archs] == [again(arch) for arch in archs]


def test_estimates_are_those_of_the_table(run, table: str, work: Path) -> None:
    space = load_space("mnist_cnn", (1, 28, 28), None)
    archs = [space.default(), space.sample(np.random.default_rng(0))]
    (work / "archs.jsonl").write_text("".join(json.dumps(arch) + "\n" for arch in archs))
    estimate = ("estimate", *SPACE, "--arch", "archs.jsonl", "--table", f"latency@board={table}")
    code, text, _ = run(*estimate, "--json")
    assert code == 0
    cost = load_cost(f"latency@board={work / table}", space)
    assert [row["costs"] for row in json.loads(text)] == [{cost.name: cost(a)} for a in archs]
    code, text, _ = run(*estimate)
    assert code == 0
    assert "latency@board" in text
    assert " ms" in text or " us" in text


def test_the_table_limits_a_sample(run, table: str, work: Path) -> None:
    space = load_space("mnist_cnn", (1, 28, 28), None)
    cost = load_cost(f"latency@board={work / table}", space)
    archs = [space.sample(np.random.default_rng(seed)) for seed in range(99)]
    limit = float(np.median([cost(arch) for arch in archs]))
    code, text, _ = run(
        "sample", *SPACE, "-n", "20", "--cost", f"latency@board={table}", "--budget",
        f"latency@board <= {limit} ms",
    )  # fmt: skip
    assert code == 0
    rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert len(rows) == 20
    assert all(cost(row["arch"]) <= limit for row in rows)


def test_whole_networks_correct_the_table(run, table: str, work: Path) -> None:
    code, text, problem = run(
        "profile", *SPACE, *SHORT, "--out", "right.npz", "--calibrate", "4", "--json"
    )
    assert (code, problem) == (0, "")
    line = json.loads(text)["calibration"]
    assert line["slope"] > 0
    assert line["error"] >= 0
    assert line["flops_error"] >= 0
    assert (work / "right.calibration.json").exists()
    default = json.dumps(load_space("mnist_cnn", (1, 28, 28), None).default())
    code, text, _ = run("estimate", *SPACE, "--arch", default, "--table", "right.npz", "--json")
    (row,) = json.loads(text)
    assert row["std"]["latency"] > 0
    text = run("estimate", *SPACE, "--arch", default, "--table", "right.npz")[1]
    assert "(standard deviation)" in text


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["profile", *SPACE, "--calibrate", "2"], 2, "three networks"),
        (["profile", "mnist_cnn", "--out", "x.csv"], 2, "ends in .npz"),
        (["profile", "proxylessnas"], 2, "--input-shape C,H,W"),
        (["profile", "nothing"], 2, "nothing"),
        (["profile", *SPACE, "--device", "a=abacus"], 2, "'abacus'"),
        (["profile", *SPACE, "--granularity", "atom"], 2, "--granularity"),
        (["estimate", *SPACE, "--arch", "{}", "--table", "x.json"], 2, "ends in .npz"),
        (["estimate", *SPACE, "--arch", "{}", "--table", "none.npz"], 1, "none.npz"),
    ],
)
def test_wrong_use_is_explained(run, arguments: list[str], code: int, part: str) -> None:
    ended, _, problem = run(*arguments)
    assert ended == code
    assert part in problem
    assert problem.count("\n") == 1
