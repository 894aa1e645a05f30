"""`hwnas predict`: from measurements to a search that needs no device, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hwnas.cli import main
from hwnas.device import MeasurementStore
from support import HWNAS

Run = Callable[..., tuple[int, str, str]]

BOARDS = """
import time

from hwnas.device import SimulatedDevice


def size(model):
    return sum(p.numel() for p in model.parameters()) / 1000


def slowly(model, inputs):
    with open("measured.txt", "a") as file:
        file.write(f"{size(model)}\\n")
    time.sleep(0.2)
    return 1 + size(model)


def picky(model, inputs):
    if model[1].out_features in (4, 32):  # the first to be measured
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


@pytest.fixture
def run(boards: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Iterator[Run]:
    """Run the command in this process, in the folder; by default it must end with exit code 0."""
    monkeypatch.chdir(boards)
    monkeypatch.syspath_prepend(str(boards))
    own = ("boards", "nets")
    for name in own:
        sys.modules.pop(name, None)

    def command(*arguments: str, code: int = 0) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hwnas", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert ended.value.code == code, told.out + told.err
        return ended.value.code, told.out, told.err

    yield command
    for name in own:
        sys.modules.pop(name, None)


def options(device: str, *more: str) -> list[str]:
    shape = ["--input-shape", "1,8,8"]
    return ["nets:small", "--device", device, *shape, "--store", "s.sqlite", *more]


def sources(run: Run, n: str) -> None:
    for device in ("fast", "slow"):
        run("predict", "measure", *options(f"boards:{device}", "-n", n, "--to", "t.safetensors"))


def test_from_measurements_to_a_search(run: Run) -> None:
    """Sources of one's own, a few measurements, estimates, and a budget that holds."""
    sources(run, "12")
    twice = options("boards:fast", "--to", "t.safetensors")
    _, _, told = run("predict", "measure", *twice, code=1)
    assert "a device 'fast' already; --replace takes its place" in told

    argv = options("boards:choosy", "-n", "8", "--to", "choosy", "--sources", "t.safetensors")
    _, out, told = run("predict", "adapt", *argv)
    assert "known before: 2 devices of t.safetensors" in out
    assert "left out" in told
    assert "an operator that it lacks" in told
    assert "expected error" in out
    assert "--cost latency@choosy=choosy" in out

    arch = '{"width": 16, "bias": true}'
    _, out, _ = run("estimate", "nets:small", "--arch", arch, "--predictor", "choosy", "--json")
    (asked,) = json.loads(out)
    true = 1 + (64 * 16 + 16 + 16 * 10 + 10) / 1000
    assert asked["costs"]["latency@choosy"] == pytest.approx(true, rel=0.1)
    assert asked["std"]["latency@choosy"] > 0

    run(
        "search", "nets:small", "--train", "nets:quick", "--trials", "2", "--job", "job",
        "--strategy", "random", "--input-shape", "1,8,8",
        "--cost", "latency@choosy=choosy", "--budget", "latency@choosy <= 2.4 ms",
    )  # fmt: skip
    for trial in json.loads(run("show", "job", "--json")[1])["trials"]:
        cost = trial["costs"]["latency@choosy"]
        assert cost["value"] + 1.6448 * cost["std"] <= 2.4
        assert trial["feasible"]


def test_train_and_test(run: Run) -> None:
    sources(run, "16")
    mine = ("--space", "nets:small")
    run("predict", "train", "t.safetensors", "--to", "fitted", "--without", "slow", *mine)
    held = ("--sources", "t.safetensors", "--device", "slow", "-n", "8", *mine)
    _, out, _ = run("predict", "test", "fitted", *held, "--seeds", "2", "--json")
    row = json.loads(out)["devices"]["slow"]
    assert row["n"] == 8
    assert row["spearman"]["mean"] > 0.9
    assert row["median_error"]["mean"] < 0.1
    assert 0 <= row["coverage"]["mean"] <= 1
    _, out, _ = run("predict", "test", "ridge", *held, "--seeds", "1", "--choose", "random")
    assert "within 10 %" in out
    _, _, told = run("predict", "train", "t.safetensors", "--to", "x", code=1)
    assert "give the space if it is yours" in told


def test_a_kill_loses_no_measurement(run: Run, boards: Path) -> None:
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

    again = json.loads(run("predict", "adapt", *argv, "--to", "again", "--json")[1])
    assert len(measured.read_text().splitlines()) <= 11, "the one in flight was begun once more"
    (boards / "s.sqlite").rename(boards / "old.sqlite")
    whole = json.loads(run("predict", "adapt", *argv, "--to", "whole", "--json")[1])
    assert whole["samples"] == again["samples"]
    assert whole["expected_error"] == again["expected_error"]


def test_this_host(run: Run, boards: Path) -> None:
    """A real device, without a source: physics and measurements, and it says so."""
    argv = ("predict", "adapt", *options("here=torch", "-n", "3", "--method", "ridge"))
    assert "the physics of the networks alone" in run(*argv)[1]
    told = json.loads((boards / "predictors" / "small-here" / "adapted.json").read_text())
    assert told["conditions"]["runtime"] == "torch"
    assert told["reference"] > 0
    assert told["samples"][0]["measurement"]["environment"]["threads"] == 1
    assert run(*argv)[1].count("measured before") == 3


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
def test_mistakes(run: Run, arguments, code, text) -> None:
    _, _, told = run("predict", "adapt", *options(*arguments), code=code)
    assert text in told
    assert told.splitlines()[-1].startswith("error: ")
