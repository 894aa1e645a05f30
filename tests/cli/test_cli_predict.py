"""`hwnas predict`: from measurements to a search that needs no device, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hwnas.device import MeasurementStore
from support import HWNAS

Command = Callable[..., subprocess.CompletedProcess[str]]

BOARDS = """
import time
from pathlib import Path

from hwnas.device import SimulatedDevice


def size(model):
    return sum(p.numel() for p in model.parameters()) / 1000


def slowly(model, inputs):
    Path("measured.txt").open("a").write(f"{size(model)}\\n")
    time.sleep(0.2)
    return 1 + size(model)


def picky(model, inputs):
    if model[1].out_features == 12:
        raise RuntimeError("an operator that it lacks")
    return 1 + size(model)


fast = SimulatedDevice("fast", lambda model, inputs: 1 + size(model), noise=0.005)
slow = SimulatedDevice("slow", lambda model, inputs: 3 + 2 * size(model), noise=0.005)
sleepy = SimulatedDevice("sleepy", slowly)
choosy = SimulatedDevice("choosy", picky)
dead = SimulatedDevice("dead", lambda model, inputs: 0.0)
"""


@pytest.fixture
def boards(folder: Path) -> Path:
    (folder / "boards.py").write_text(BOARDS)
    return folder


def options(device: str, *more: str) -> list[str]:
    shape = ["--input-shape", "1,8,8"]
    return ["nets:small", "--device", device, *shape, "--store", "s.sqlite", *more]


def test_from_measurements_to_a_search(hwnas: Command, boards: Path) -> None:
    """Sources of one's own, ten measurements, estimates, and a budget that holds."""
    for device in ("fast", "slow"):
        hwnas(
            "predict", "measure", *options(f"boards:{device}", "-n", "12", "--to", "t.safetensors")
        )
    told = hwnas(
        "predict", "measure", *options("boards:fast", "--to", "t.safetensors"), check=False
    )
    assert told.returncode == 1
    assert "a device 'fast' already; --replace takes its place" in told.stderr

    done = hwnas(
        "predict", "adapt", *options("boards:choosy", "-n", "8", "--to", "choosy"),
        "--sources", "t.safetensors",
    )  # fmt: skip
    assert "known before: 2 devices of t.safetensors" in done.stdout
    assert "left out" in done.stderr
    assert "an operator that it lacks" in done.stderr
    assert "expected error" in done.stdout
    assert "--cost latency@choosy=choosy" in done.stdout

    arch = '{"width": 16, "bias": true}'
    asked = json.loads(
        hwnas("estimate", "nets:small", "--arch", arch, "--predictor", "choosy", "--json").stdout
    )[0]
    true = 1 + (64 * 16 + 16 + 16 * 10 + 10) / 1000
    assert asked["costs"]["latency@choosy"] == pytest.approx(true, rel=0.1)
    assert asked["std"]["latency@choosy"] > 0

    hwnas(
        "search", "nets:small", "--train", "nets:quick", "--trials", "3", "--job", "job",
        "--strategy", "random", "--input-shape", "1,8,8",
        "--cost", "latency@choosy=choosy", "--budget", "latency@choosy <= 2.4 ms",
    )  # fmt: skip
    for trial in json.loads(hwnas("show", "job", "--json").stdout)["trials"]:
        cost = trial["costs"]["latency@choosy"]
        assert cost["value"] + 1.6448 * cost["std"] <= 2.4
        assert trial["feasible"]


def test_train_and_test(hwnas: Command, boards: Path) -> None:
    for device in ("fast", "slow"):
        hwnas(
            "predict", "measure", *options(f"boards:{device}", "-n", "16", "--to", "t.safetensors")
        )
    mine = ("--space", "nets:small")
    hwnas("predict", "train", "t.safetensors", "--to", "fitted", "--without", "slow", *mine)
    told = json.loads(
        hwnas(
            "predict", "test", "fitted", "--sources", "t.safetensors", "--device", "slow",
            "-n", "8", "--seeds", "2", "--json", *mine,
        ).stdout
    )  # fmt: skip
    row = told["devices"]["slow"]
    assert row["n"] == 8
    assert row["spearman"]["mean"] > 0.9
    assert row["median_error"]["mean"] < 0.1
    assert 0 <= row["coverage"]["mean"] <= 1
    shown = hwnas(
        "predict", "test", "ridge", "--sources", "t.safetensors", "--device", "slow",
        "-n", "8", "--seeds", "1", "--choose", "random", *mine,
    ).stdout  # fmt: skip
    assert "within 10 %" in shown
    alien = hwnas("predict", "train", "t.safetensors", "--to", "x", check=False)
    assert alien.returncode == 1
    assert "give the space if it is yours" in alien.stderr


def test_a_kill_loses_no_measurement(hwnas: Command, boards: Path) -> None:
    """kill -9 in the middle; the next run measures what is left, and ends as an unbroken one."""
    argv = options("boards:sleepy", "-n", "10", "--method", "ridge")
    process = subprocess.Popen(
        [HWNAS, "predict", "adapt", *argv, "--to", "broken"],
        cwd=boards,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    measured, end = boards / "measured.txt", time.monotonic() + 100
    while not (measured.exists() and len(measured.read_text().splitlines()) >= 4):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    with MeasurementStore(boards / "s.sqlite") as store:
        kept = len(store)
    assert 3 <= kept < 10
    assert not (boards / "broken").exists(), "the folder is whole or absent"

    resumed = json.loads(hwnas("predict", "adapt", *argv, "--to", "resumed", "--json").stdout)
    assert len(measured.read_text().splitlines()) <= 11, "the one in flight was begun once more"
    (boards / "s.sqlite").rename(boards / "old.sqlite")
    whole = json.loads(hwnas("predict", "adapt", *argv, "--to", "whole", "--json").stdout)
    assert whole["samples"] == resumed["samples"]
    assert whole["expected_error"] == resumed["expected_error"]


def test_this_host(hwnas: Command, boards: Path) -> None:
    """A real device, without a source: physics and measurements, and it says so."""
    done = hwnas("predict", "adapt", *options("here=torch", "-n", "3", "--method", "ridge"))
    assert "the physics of the networks alone" in done.stdout
    folder = boards / "predictors" / "small-here"
    told = json.loads((folder / "adapted.json").read_text())
    assert told["conditions"]["runtime"] == "torch"
    assert told["reference"] > 0
    assert told["samples"][0]["measurement"]["environment"]["threads"] == 1
    again = hwnas("predict", "adapt", *options("here=torch", "-n", "3", "--method", "ridge"))
    assert again.stdout.count("measured before") == 3


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["boards:dead"], 1, "0 of 10 archs"),
        (["boards:nothing"], 2, "has no 'nothing'"),
        (["nets:small"], 2, "not a device"),
        (["boards:fast", "--until", "much"], 2, "write a share"),
        (["boards:fast", "--until", "120%"], 2, "below 100%"),
        (["boards:fast", "--sources", "none.safetensors"], 1, "none.safetensors"),
        (["boards:fast", "--predictor", "none"], 1, "none"),
        (["boards:fast", "--prior"], 1, "no prior comes with hwnas for 'nets:small'"),
        (["boards:fast", "--prior", "--sources", "x"], 2, "one of them"),
        (["boards:fast", "--method", "magic"], 2, "unknown predictor 'magic'"),
        (["boards:fast", "--to", "nets.py"], 1, "something else"),
    ],
)
def test_mistakes(boards: Path, monkeypatch, capsys, arguments, code, text) -> None:
    """In this process, since none of them gets far."""
    from hwnas.cli import main

    monkeypatch.chdir(boards)
    monkeypatch.syspath_prepend(str(boards))
    monkeypatch.setattr(sys, "argv", ["hwnas", "predict", "adapt", *options(*arguments)])
    for name in ("boards", "nets"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(SystemExit) as ended:
        main()
    for name in ("boards", "nets"):
        sys.modules.pop(name, None)
    told = capsys.readouterr().err
    assert ended.value.code == code, told
    assert text in told
    assert told.splitlines()[-1].startswith("error: ")
