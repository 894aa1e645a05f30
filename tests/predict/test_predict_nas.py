"""`hwnas predict nas`: the best network under a limit, on a device or by a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_predictor import Plain

from hwnas import _plugins
from hwnas.cli import _app
from hwnas.predict import DevicePredictor, Prediction, read_sources, save_sources
from hwnas.space import Arch
from support import data_path

NET = """
import hwnas
from hwnas.device import SimulatedDevice
from torch import nn

def build(arch):
    inner = [nn.Linear(arch["width"], arch["width"]) for _ in range(arch["depth"])]
    return nn.Sequential(nn.Flatten(), nn.Linear(64, arch["width"]), *inner)

space = hwnas.FunctionSpace({"width": list(range(8, 24)), "depth": [1, 2, 3]}, build)

def milliseconds(model, inputs):
    return latency(model[1].out_features, len(model) - 2)

def latency(width, depth):
    return 0.5 * width + 2.0 * depth

def accuracy(archs):
    return [arch["width"] + 0.1 * arch["depth"] for arch in archs]

def board():
    return SimulatedDevice("board", milliseconds)
"""


class Linear(Plain):
    """Linear in numbers, and in how often each text is chosen; it errs by 5 %, it says."""

    def adapt(self, archs: Sequence[Arch], latencies: Sequence[float]) -> DevicePredictor:
        return _LinearDevice(archs, np.array(latencies))


class _LinearDevice(DevicePredictor):
    def __init__(self, archs: Sequence[Arch], latencies: np.ndarray) -> None:
        texts = {value for arch in archs for value in arch.values() if isinstance(value, str)}
        self.texts = sorted(texts)
        self.weights = np.linalg.lstsq(self.rows(archs), latencies, rcond=None)[0]

    def rows(self, archs: Sequence[Arch]) -> np.ndarray:
        def row(arch: Arch) -> list[float]:
            values = list(arch.values())
            counts = [float(values.count(text)) for text in self.texts]
            return [1.0, *counts] if counts else [1.0, *map(float, values)]

        return np.array([row(arch) for arch in archs])

    def predict(self, archs: Sequence[Arch]) -> Prediction:
        mean = np.maximum(self.rows(archs) @ self.weights, 0.01)
        return Prediction(mean, 0.05 * mean)


CALL = ("predict", "nas", "net.py:space", "--input-shape", "1,8,8", "--json")
BOARD = ("--device", "net:board", "--store", "kept.sqlite")


@pytest.fixture
def run(tmp_path: Path, monkeypatch, capsys) -> Callable[..., tuple[int, Any]]:
    """The command in a folder with a space, candidates and latencies: exit code and its JSON."""
    monkeypatch.setattr("hwnas.predict._known.DEFAULT", "plain")
    load = _plugins.load
    monkeypatch.setattr(
        _plugins, "load", lambda *what: Linear if what == ("predictors", "plain") else load(*what)
    )
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(NET)
    lines, rows = [], [["arch", "board", "other"]]
    for width in range(8, 24):
        for depth in (1, 2, 3):
            arch = json.dumps({"width": width, "depth": depth})
            lines.append(f"{arch}, {width + 0.1 * depth}\n")
            rows.append([arch, 0.5 * width + 2.0 * depth, 1.0 * width])
    Path("candidates.txt").write_text("".join(lines))
    with open("latencies.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)

    def run(*arguments: str) -> tuple[int, Any]:
        monkeypatch.setattr("sys.argv", ["hwnas", *arguments])
        code = _app._run()
        out, err = capsys.readouterr()
        return code, json.loads(out) if out.startswith("{") else out + err

    return run


TABLE = ("--latencies", "latencies.csv", "--device", "board")


@pytest.mark.parametrize("where", [BOARD, TABLE], ids=["device", "table"])
def test_candidates_under_several_limits(run, where: tuple[str, ...]) -> None:
    """A device that is a sum of two parts: the picks are the best there are, and were measured."""
    limits = ("--limit", "8 ms", "--limit", "11500 us")
    code, facts = run(*CALL, "--candidates", "candidates.txt", *where, *limits)
    assert code == 0
    assert facts["device"] == "board"
    assert facts["adapted_to"] == 10
    for row, limit, best in zip(facts["limits"], (8.0, 11.5), ((12, 1), (19, 1)), strict=True):
        arch = row["arch"]
        assert row["limit"] == limit
        assert row["feasible"]
        assert (arch["width"], arch["depth"]) == best
        assert row["measured"] == pytest.approx(0.5 * arch["width"] + 2.0 * arch["depth"])
        assert row["margin"] == pytest.approx((limit - row["measured"]) / limit)
        assert 1 <= len(row["finalists"]) <= 5
    assert facts["measurements"] == 10 + sum(len(row["finalists"]) for row in facts["limits"])


def test_evolution_over_the_whole_space(run) -> None:
    call = (*CALL, "--accuracy", "net:accuracy", "--limit", "9 ms", "--seed", "1")
    code, facts = run(*call, *BOARD)
    assert code == 0
    assert facts["limits"][0]["arch"] == {"width": 14, "depth": 1}
    assert facts["limits"][0]["measured"] == pytest.approx(9.0)
    code, facts = run(*call, *TABLE)  # a table measures nothing new
    assert facts["limits"][0]["measured"] is None
    assert facts["measurements"] == 10


def test_nothing_keeps_the_limit(run) -> None:
    """Exit code 3, with the candidate that comes nearest."""
    call = (*CALL, "--candidates", "candidates.txt", *BOARD)
    code, facts = run(*call, "--limit", "3 ms", "--limit", "30 ms")
    assert code == 3
    near, far = facts["limits"]
    assert not near["feasible"]
    assert near["arch"] == {"width": 8, "depth": 1}
    assert near["margin"] == pytest.approx(-1.0)
    assert far["feasible"]
    code, text = run(*(word for word in call if word != "--json"), "--limit", "3 ms")
    assert code == 3
    assert "broken" in text
    assert "measurements to know board" in text


def test_an_adapted_predictor(run) -> None:
    """It knows its device: nothing more is measured, unless the device is named."""
    adapt = ("predict", "adapt", "net.py:space", "--input-shape", "1,8,8", "--json")
    assert run(*adapt, "--to", "known", *BOARD)[0] == 0
    call = (*CALL, "--candidates", "candidates.txt", "--limit", "11.5 ms", "--predictor", "known")
    code, facts = run(*call)
    assert code == 0
    assert facts["limits"][0]["finalists"] == []
    assert facts["measurements"] == facts["adapted_to"] == 10
    for where in (BOARD, TABLE):
        code, facts = run(*call, *where)
        assert facts["limits"][0]["arch"] == {"width": 19, "depth": 1}
        assert facts["limits"][0]["measured"] == pytest.approx(11.5)
    code, facts = run(*call, *where, "--finalists", "0")
    assert facts["limits"][0]["measured"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        ([], 2, "either --candidates or --accuracy"),
        (["--candidates", "a.txt", "--accuracy", "net:accuracy"], 2, "either --candidates or"),
        (["--candidates", "missing.txt", *TABLE], 1, "missing.txt"),
        (["--candidates", "candidates.txt", "--latencies", "latencies.csv"], 2, "several devices"),
        (["--candidates", "candidates.txt", "--latencies", "no.csv"], 1, "no.csv"),
        (["--accuracy", "net:space", *TABLE], 2, "is FunctionSpace, not a function"),
        (["--candidates", "a.txt", "--sources", "b", "--predictor", "c"], 2, "give one of them"),
    ],
)
def test_mistakes(run, arguments: list[str], code: int, part: str) -> None:
    got, text = run(*CALL, "--limit", "5 ms", *arguments)
    assert got == code
    assert part in text


def test_a_limit_has_a_unit_of_time(run) -> None:
    got, text = run(*CALL, "--candidates", "candidates.txt", *TABLE, "--limit", "5 MB")
    assert got == 2
    assert "MB" in text


def test_a_device_is_not_among_its_own_sources(run) -> None:
    table = read_sources("latencies.csv", "net.py:space").table
    save_sources(table, Path("all.safetensors"))
    call = (*CALL, "--candidates", "candidates.txt", "--limit", "9 ms")
    got, text = run(*call, *TABLE, "--sources", "all.safetensors")
    assert got == 2
    assert "has the latencies of 'board' itself" in text
    save_sources(table.only(["other"]), Path("others.safetensors"))
    assert run(*call, *TABLE, "--sources", "others.safetensors")[0] == 0


def test_candidates_without_a_latency_are_told(run) -> None:
    Path("short.csv").write_text(
        "".join(Path("latencies.csv").read_text().splitlines(keepends=True)[:20])
    )
    call = (*CALL, "--candidates", "candidates.txt", "--latencies", "short.csv", "--limit", "90 ms")
    got, text = run(*call, "--device", "board")
    assert got == 1
    assert "short.csv has no latency of " in text


def test_metad2a_in_one_line(run) -> None:
    """HELP's candidates and published latencies: every pick keeps its limit in truth."""
    file = data_path("help/nasbench201/arch_generated_by_metad2a.txt")
    code, facts = run(
        "predict", "nas", "nasbench201", "--candidates", str(file), "--json", "-n", "40",
        "--latencies", str(file.parent), "--device", "fpga", "--limit", "4 ms", "--limit", "6 ms",
    )  # fmt: skip
    assert code == 0
    for row, oracle in zip(facts["limits"], (71.63, 73.04), strict=True):
        assert row["measured"] <= row["limit"]
        assert row["accuracy"] >= oracle - 1
