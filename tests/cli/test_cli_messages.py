"""Mistakes: one line that says what is wrong and where, the right exit code, no traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hwnas.cli import main

QUICK = ("search", "nets:small", "--train", "nets:quick", "--trials", "1")

MODULES = {
    "syntax": "def train(:\n",
    "raising": "raise RuntimeError('boom\\nand more')\n",
    "exiting": "import sys\nsys.exit(0)\n",
    "needing": "\nimport no_such_package\n",
    "spaces": (
        "from torch import nn\n"
        "class Bad(nn.Module):\n"
        "    def __init__(self):\n"
        "        raise ValueError('no width')\n"
        "def nothing(): pass\n"
        "number = 3\n"
    ),
}


@pytest.fixture(autouse=True)
def modules(folder: Path) -> None:
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)


def one_line_error(stdout: str, stderr: str) -> str:
    """The message, after the promises that hold for each: one line, on stderr, no traceback."""
    lines = stderr.splitlines()
    assert len(lines) == 1, stderr
    assert lines[0].startswith("error: ")
    assert stdout == ""
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["serach"], 2, ["'serach'", "Did you mean 'search'?"]),
        (["show"], 2, ["JOB", "hwnas show --help"]),
        (["show", "nothing"], 1, ["nothing is not a job", "no such folder"]),
        (["show", "."], 1, ["no job.json"]),
        (["show", "nets.py"], 1, ["nets.py is not a job", "a file"]),
        (["report", "nothing"], 1, ["nothing is not a job"]),
        (["export", "nothing", "out"], 1, ["nothing is not a job"]),
        (["measure", "."], 1, ["no folder written by hwnas export", "card.json"]),
        (["space", "digits_cn"], 2, ["'digits_cn'", "digits_cnn, "]),
        (["space", "digits_cnn", "--input-shape", "3,x"], 2, ["--input-shape '3,x'", "3,32,32"]),
        (["space", "digits_cnn", "--input-shape", "1,-8,8"], 2, ["above zero"]),
        (["space", "spaces:Bad"], 1, ["ValueError: no width", "spaces.py, line 4"]),
        (["space", "spaces:nothing"], 2, ["NoneType", "must return a search space"]),
        (["space", "spaces:number"], 2, ["int", "not a space"]),
        (["space", "syntax:space"], 1, ["SyntaxError", "syntax.py, line 1"]),
        (["space", "raising:space"], 1, ["RuntimeError: boom (", "raising.py, line 1"]),
        (["space", "exiting:space"], 1, ["sys.exit(0)", "exiting.py, line 2"]),
        (["space", "needing.py:space"], 1, ["'no_such_package'", "needing.py, line 2"]),
        (["space", "digits_cnn", "--counting", "all"], 2, ["'all'", "plain", "bias", "nni"]),
        (["space", "digits_cnn", "--counting", "nni", "--count-bias"], 2, ["contradict"]),
        (["search"], 2, ["name a space"]),
        (["search", "digits_cnn"], 2, ["task"]),
        (["search", "--resume"], 2, ["--job JOB"]),
        (["search", "nets:small", "--resume", "--job", "j", "--seed", "3"], 2,
         ["SPACE", "--seed", "j"]),
        (["search", "nets:small", "--train", "nets:small"], 2, ["nets:small", "not a function"]),
        (["search", "nets:small", "--train", "syntax:train"], 1, ["syntax.py, line 1"]),
        ([*QUICK, "--set", "steps"], 2, ["--set 'steps'", "option=value"]),
        ([*QUICK, "--set", "steps=1", "--set", "steps=2"], 2, ["steps", "twice"]),
        ([*QUICK, "--set", "step=1"], 2, ["'step'", "pause, steps"]),
        ([*QUICK, "--device", "=torch"], 2, ["'=torch'", "NAME=RUNTIME"]),
        ([*QUICK, "--device", "a=nothing"], 2, ["'nothing'", "onnxruntime, ", "torch"]),
        ([*QUICK, "--device", "a=torch?treads=2"], 2, ["'treads'", "threads, batch_size"]),
        ([*QUICK, "--device", "a=torch?threads=no"], 2, ["threads", "valid integer"]),
        ([*QUICK, "--budget", "params < 3"], 2, ["expected <= or >="]),
        ([*QUICK, "--budget", "latency <= 1 ms"], 1, ["'latency'", "--input-shape"]),
        ([*QUICK, "--objective", "accuracy"], 2, ["'accuracy'", "max NAME"]),
        ([*QUICK, "--trials", "some"], 2, ["--trials", "hwnas search --help"]),
        ([*QUICK, "--job", "nets.py"], 1, ["nets.py"]),
    ],
)  # fmt: skip
def test_mistakes_are_explained(
    folder: Path, monkeypatch, capfd, arguments: list[str], code: int, parts: list[str]
) -> None:
    """Nothing is written, either. In this process: PyTorch is imported once for all."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "argv", ["hwnas", *arguments])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = sorted(folder.iterdir())
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        for name in ("nets", *MODULES):
            sys.modules.pop(name, None)
    message = one_line_error(*capfd.readouterr())
    assert ended.value.code == code
    assert all(part in message for part in parts), message
    assert sorted(folder.iterdir()) == before


def test_debug_shows_the_traceback(hwnas) -> None:
    done = hwnas("--debug", "space", "spaces:Bad", check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert 'spaces.py", line 4' in done.stderr


def test_help_and_version(hwnas) -> None:
    """The bare command shows its help, as wrong usage; `--help` of each command is no error."""
    bare = hwnas(check=False)
    assert bare.returncode == 2
    commands = (
        "space",
        "sample",
        "cost",
        "search",
        "show",
        "report",
        "export",
        "measure",
        "evaluate",
    )
    for command in commands:
        assert command in bare.stdout
        assert f"hwnas {command}" in hwnas(command, "--help").stdout
    assert "SPACE" in hwnas("search", "--help").stdout
    assert hwnas("--version").stdout.strip()[0].isdigit()


def test_damaged_files_are_named(hwnas, folder: Path) -> None:
    """Half a file, or one of another shape, is an error with its name."""
    hwnas(*QUICK, "--job", "job", "--budget", "params <= 1 M")
    hwnas("export", "job", "out")
    for command, name in (("show", "job/finalists.json"), ("show", "job/job.json"),
                          ("measure", "out/card.json")):  # fmt: skip
        path = folder / name
        for content in ('{"half": ', "[1]", "{}" if "finalists" not in name else '{"0": 3}'):
            path.write_text(content)
            done = hwnas(command, path.parent.name, check=False)
            assert done.returncode == 1
            assert name in one_line_error(done.stdout, done.stderr)


@pytest.mark.parametrize("content", [b"[1]\n", b"\xff\xfe\n", b'{"op_code": 0}\n', b"{]\n{}\n"])
def test_a_damaged_journal_is_named(hwnas, folder: Path, content: bytes) -> None:
    hwnas(*QUICK, "--job", "job")
    with open(folder / "job/study.journal", "ab") as file:
        file.write(content)
    for arguments in (("show", "job"), ("search", "--resume", "--job", "job")):
        done = hwnas(*arguments, check=False)
        assert done.returncode == 1
        assert "job/study.journal is damaged" in one_line_error(done.stdout, done.stderr)


def test_damaged_host_speeds_do_not_hang_the_search(hwnas, folder: Path) -> None:
    """What the measuring thread meets fails the trial; the search ends."""
    (folder / "job").mkdir()
    (folder / "job/devices.json").write_text("[1]")
    done = hwnas(
        *QUICK[:-1], "1", "--task", "digits", "--budget", "latency <= 1 s", "--max-failed", "0",
        "--job", "job", check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "devices.json is damaged" in one_line_error("", done.stderr)
