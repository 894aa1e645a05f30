"""`hwnas space --budget`, `sample` and `cost`, held against the Python interface."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hwnas.budget import Budget
from hwnas.cli import main
from hwnas.cost import cost_tables
from hwnas.zoo import load_space, write_nasbench201

OWN = """
import hwnas.cost

def convs(arch):
    return sum(choice == "nor_conv_3x3" for choice in arch.values())

def weights(space, inputs):
    return 0.5 * hwnas.cost.cost_tables(space, (), ["params"])["params"].renamed("weights")

def broken(arch):
    return 1 / 0
"""
SHAPE = ("--input-shape", "3,8,8")
BUDGET = "macs <= 4 M, params >= 200 k"


@dataclass(frozen=True)
class Done:
    code: int
    stdout: str
    stderr: str


@pytest.fixture
def run(folder: Path, monkeypatch, capsys) -> Callable[..., Done]:
    """The command, in this process: PyTorch is imported once for all."""
    (folder / "own.py").write_text(OWN)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def command(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["hwnas", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(ended.value.code, *capsys.readouterr())

    yield command
    sys.modules.pop("own", None)


@pytest.fixture(scope="module")
def bench():
    """NAS-Bench-201, its tables and the archs that keep the budget."""
    space = load_space("nasbench201", (3, 8, 8), None)
    tables = cost_tables(space, (1, 3, 8, 8))
    archs = list(space.enumerate())
    encoded = space.encode(archs)
    macs, params = tables["macs"].evaluate(encoded), tables["params"].evaluate(encoded)
    kept = (macs <= 4e6) & (params >= 200e3)
    return space, tables, archs, kept, macs


def test_the_space_within_a_budget(run, bench) -> None:
    """Counts, shares and ranks are those of all archs tried."""
    _, tables, _, kept, macs = bench
    done = run("space", "nasbench201", *SHAPE, "--budget", BUDGET, "--k", "4", "--json")
    assert done.code == 0, done.stderr
    facts = json.loads(done.stdout)
    for name, cost in tables.items():
        told = facts["costs"][name]
        assert told["exact"] is True
        assert (told["min"], told["max"]) == (cost.minimum()[0], cost.maximum()[0])
        assert told["min"] <= told["quantiles"]["0.05"] <= told["quantiles"]["0.95"] <= told["max"]
    within = facts["budget"]
    assert within["feasible"] is True
    assert within["count"] == {"lower": int(kept.sum()), "upper": int(kept.sum())}
    assert within["share"] == pytest.approx(kept.mean(), abs=0.02)
    assert within["method"] == "dynamic program"
    assert 0.9 < within["acceptance"] <= 1
    ranking = facts["ranking"]
    assert ranking["by"] == "macs"
    for end, values in (("lowest", sorted(macs[kept])), ("highest", sorted(macs[kept])[::-1])):
        assert ranking[end]["exact"] is True
        assert [row["cost"] for row in ranking[end]["archs"]] == values[:4]
        assert [tables["macs"](row["arch"]) for row in ranking[end]["archs"]] == values[:4]


def test_the_space_for_people(run) -> None:
    done = run("space", "nasbench201", *SHAPE, "--budget", BUDGET, "--by", "params", "--k", "2")
    assert done.code == 0, done.stderr
    for part in ("of 15,625 archs (", "each decision uniform", "dynamic program", "lowest params",
                 "highest params", "within the budget", "flops: 2 x MACs"):  # fmt: skip
        assert part in done.stdout
    nni = run("space", "nasbench201", *SHAPE, "--counting", "nni").stdout
    assert "flops: MACs + biases + batch norms + activations" in nni
    bare = run("space", "nasbench201").stdout
    assert "params" in bare
    assert "macs and flops depend on the input" in bare


def test_costs_of_ones_own(run) -> None:
    """A table is sampled inside its limit; a function is asked, and that is said."""
    own = ("--cost", "own.py:convs", "--cost", "half@note=own.py:weights")
    budget = "convs <= 2, half@note <= 300 k"
    done = run("space", "nasbench201", *own, "--budget", budget, "--by", "convs", "--json")
    assert done.code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["budget"]["asked"] == ["convs"]
    assert facts["budget"]["count"] is None
    assert 0 < facts["budget"]["asked_acceptance"] <= 1
    assert facts["ranking"]["lowest"]["exact"] is False
    done = run("sample", "nasbench201", *own, "--budget", budget, "-n", "50")
    assert "convs, no sum of tables, was asked of each" in done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 50
    for row in rows:
        assert row["costs"]["convs"] == list(row["arch"].values()).count("nor_conv_3x3") <= 2
        assert row["costs"]["half@note"] == row["costs"]["params"] / 2 <= 300e3


@pytest.mark.parametrize("distribution", ["decisions", "archs"])
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_sample_is_read_back(run, folder: Path, bench, suffix: str, distribution: str) -> None:
    """As JSON lines and as CSV; all archs keep the budget, and the same seed gives the same."""
    _, tables, _, _, _ = bench
    name = f"archs.{suffix}"
    arguments = ("sample", "nasbench201", *SHAPE, "--budget", BUDGET, "-n", "200", "--out")
    done = run(*arguments, name, "--distribution", distribution)
    assert done.code == 0, done.stderr
    assert "200 random archs of nasbench201" in done.stdout
    assert "% of whose draws were kept" in done.stdout
    again = run(*arguments, f"again.{suffix}", "--distribution", distribution)
    assert again.code == 0
    assert (folder / name).read_bytes() == (folder / f"again.{suffix}").read_bytes()
    read = run("cost", "nasbench201", *SHAPE, "--arch", name, "--json")
    rows = json.loads(read.stdout)
    assert len(rows) == 200
    budget = Budget.parse(BUDGET)
    for row in rows:
        assert row["costs"].keys() >= tables.keys()
        assert budget.feasible(row["costs"])
        assert row["costs"]["macs"] == tables["macs"](row["arch"])
    if suffix == "csv":
        with open(folder / name, newline="") as file:
            written = list(csv.DictReader(file))
        assert [float(r["cost:macs"]) for r in written] == [r["costs"]["macs"] for r in rows]
    else:
        written = [json.loads(line) for line in (folder / name).read_text().splitlines()]
        assert [r["arch"] for r in written] == [r["arch"] for r in rows]


def test_conditions_and_numbers_survive_csv(run, folder: Path) -> None:
    """Decisions that are not taken are empty cells; numbers are numbers again."""
    assert run("sample", "digits_cnn", "-n", "40", "--out", "a.csv").code == 0
    rows = json.loads(run("cost", "digits_cnn", "--arch", "a.csv", "--json").stdout)
    space = load_space("digits_cnn", None, None)
    for row in rows:
        space.validate(row["arch"])
    assert {len(row["arch"]) for row in rows} == {3, 4, 5}


def test_every_way_to_name_an_arch(run, folder: Path, bench) -> None:
    _, tables, archs, _, _ = bench
    arch = archs[1234]
    text = write_nasbench201(arch)
    (folder / "one.json").write_text(json.dumps(arch))
    (folder / "list.json").write_text(json.dumps([arch, {"arch": arch}, text]))
    (folder / "lines.txt").write_text(f"{text}\n\n{json.dumps(arch)}\n")
    for source, count in ((json.dumps(arch), 1), (text, 1), ("one.json", 1), ("list.json", 3),
                          ("lines.txt", 2)):  # fmt: skip
        done = run("cost", "nasbench201", "--arch", source, "--json")
        assert done.code == 0, done.stderr
        rows = json.loads(done.stdout)
        assert [row["arch"] for row in rows] == [arch] * count
        assert {row["costs"]["params"] for row in rows} == {tables["params"](arch)}
    done = run("cost", "fbnet", "--arch", json.dumps([0] * 22), "--csv")
    assert done.code == 0, done.stderr
    assert len(list(csv.DictReader(done.stdout.splitlines()))) == 1
    done = run("cost", "nasbench201", *SHAPE, "--arch", text, "--arch", "one.json")
    assert "macs" in done.stdout
    assert "peak_activation_bytes" in done.stdout


def test_through_a_pipe(hwnas, folder: Path) -> None:
    """Archs alone on standard output, so that one command reads what the other writes."""
    drawn = hwnas("sample", "digits_cnn", "-n", "3")
    assert "3 random archs of digits_cnn" in drawn.stderr
    found = json.loads(
        hwnas("cost", "digits_cnn", "--arch", "-", "--json", input=drawn.stdout).stdout
    )
    written = [json.loads(line) for line in drawn.stdout.splitlines()]
    assert [row["arch"] for row in found] == [row["arch"] for row in written]


def test_nothing_keeps_the_budget(run, folder: Path) -> None:
    """Exit code 3, the nearest arch and its violation; no file."""
    facts = run("space", "digits_cnn", "--budget", "params <= 985", "--json")
    assert facts.code == 3
    budget = json.loads(facts.stdout)["budget"]
    assert budget["proven"] is True
    nearest = budget["nearest"]
    assert nearest["violation"] == pytest.approx(nearest["costs"]["params"] / 985 - 1)
    done = run("space", "digits_cnn", "--budget", "params <= 985")
    assert done.code == 3
    assert "no arch keeps the budget; the nearest:" in done.stdout
    assert "broken, 100 % above it" in done.stdout
    (folder / "a.jsonl").write_text("mine")
    done = run("sample", "digits_cnn", "--budget", "params <= 985", "--out", "a.jsonl")
    assert done.code == 3
    assert "no arch keeps the budget" in done.stdout
    assert (folder / "a.jsonl").read_text() == "mine"
    own = ("--cost", "own.py:convs")
    done = run("sample", "nasbench201", *own, "--budget", "convs >= 7", "--out", "a.jsonl")
    assert done.code == 3
    assert "no arch was found within the budget" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["space", "digits_cnn", "--budget", "macs <= 3 M"], 2, ["'macs'", "--input-shape"]),
        (["space", "digits_cnn", "--budget", "latency <= 3 ms"], 2,
         ["'latency'", "--cost latency"]),
        (["sample", "digits_cnn", "--budget", "energy@x <= 3 mJ"], 2, ["--cost energy@x="]),
        (["space", "digits_cnn", "--budget", "size <= 3"], 2, ["unknown metric 'size'"]),
        (["space", "digits_cnn", "--by", "size"], 2, ["'size'", "params"]),
        (["space", "digits_cnn", "--cost", "joules"], 2, ["unknown cost 'joules'"]),
        (["space", "digits_cnn", "--cost", "macs=own.py:convs"], 2, ["'macs' is computed"]),
        (["sample", "digits_cnn", "--cost", "own.py:broken"], 1, ["'broken'", "ZeroDivisionError"]),
        (["sample", "digits_cnn", "--out", "a.parquet"], 2, ["a.parquet", ".jsonl or .csv"]),
        (["sample", "digits_cnn", "-n", "0"], 2, ["-n"]),
        (["sample", "digits_cnn", "--distribution", "all"], 2, ["--distribution"]),
        (["cost", "digits_cnn"], 2, ["--arch"]),
        (["cost", "digits_cnn", "--arch", "no.json"], 1, ["no.json", "no such file"]),
        (["cost", "digits_cnn", "--arch", "{}"], 1, ["--arch", "no value for"]),
        (["cost", "digits_cnn", "--arch", "{"], 1, ["no JSON"]),
        (["cost", "digits_cnn", "--arch", "[]"], 1, ["'[]' is no arch"]),
        (["cost", "digits_cnn", "--arch", "wide"], 1, ["'wide' is no arch", "such as {"]),
        (["cost", "digits_cnn", "--arch", "bad.jsonl"], 1, ["bad.jsonl, line 2", "'width': 7"]),
        (["cost", "digits_cnn", "--arch", "bad.csv"], 1, ["bad.csv", "no column is a decision"]),
        (["cost", "digits_cnn", "--arch", "cut.csv"], 1, ["cut.csv, line 3", "'width'"]),
        (["cost", "digits_cnn", "--arch", "empty.jsonl"], 1, ["empty.jsonl holds no arch"]),
        (["cost", "digits_cnn", "--arch", "bytes.jsonl"], 1, ["bytes.jsonl is no text"]),
        (["cost", "nasbench201", "--arch", "|none~0|"], 1, ["--arch: NAS-Bench-201"]),
        (["cost", "digits_cnn", "--arch", "{}", "--json", "--csv"], 2, ["--json and --csv"]),
    ],
)  # fmt: skip
def test_mistakes(run, folder: Path, arguments: list[str], code: int, parts: list[str]) -> None:
    """One line, nothing on standard output, nothing written."""
    good = {"depth": 1, "kernel1": 3, "width": 8}
    (folder / "bad.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps({**good, 'width': 7})}\n")
    (folder / "bad.csv").write_text("a,b\n1,2\n")
    (folder / "cut.csv").write_text("depth,kernel1,width\n1,3,8\n1,3\n")
    (folder / "empty.jsonl").write_text("\n")
    (folder / "bytes.jsonl").write_bytes(b"\xff\xfe\x00")
    before = sorted(folder.iterdir())
    done = run(*arguments)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert all(part in lines[0] for part in parts), lines[0]
    assert done.code == code, lines[0]
    assert sorted(folder.iterdir()) == before
