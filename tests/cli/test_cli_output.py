"""What the commands print: for people, for programs, into pipes and narrow terminals."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import HWNAS

SEARCH = (
    "search", "nets:small", "--train", "nets:quick", "--trials", "3", "--strategy", "random",
    "--job", "my job",
)  # fmt: skip


def strict(text: str) -> dict:
    """JSON without NaN and infinity, and nothing else."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_winner_and_what_to_do_next(hwnas, folder: Path) -> None:
    """Each limit with cost, unit and margin in words; the next commands can be copied and run."""
    done = hwnas(*SEARCH, "--budget", "params <= 2 k, loss <= 0.8")
    lines = [line.strip() for line in done.stdout.splitlines()]
    (winner,) = [line for line in lines if line.startswith("winner: trial")]
    assert "accuracy 0." in winner
    (params,) = [line for line in lines if line.startswith("params ")]
    assert re.fullmatch(r"params +\d\.\d+ k +limit <= 2 k +kept, [\d.]+ % below it", params), params
    (loss,) = [line for line in lines if line.startswith("loss ")]
    assert re.fullmatch(r"loss +0\.5 +limit <= 0\.8 +kept, 38 % below it", loss), loss
    advice = [shlex.split(line) for line in lines[lines.index("next:") + 1 :]]
    assert [words[:2] for words in advice] == [["hwnas", w] for w in ("report", "export", "show")]
    for words in advice:
        hwnas(*words[1:])
    assert (folder / "my job/report.html").exists()
    assert (folder / "my job-winner/model.safetensors").exists()


def test_nothing_feasible(hwnas) -> None:
    """Exit code 3, the nearest network, and by how much it is over."""
    done = hwnas(*SEARCH, "--budget", "loss <= 0.1", check=False)
    assert done.returncode == 3
    assert "nothing keeps the budget; the nearest: trial" in done.stdout
    assert "broken, " in done.stdout
    done = hwnas("export", "my job", "out", check=False)
    assert done.returncode == 3
    assert hwnas("measure", "out", check=False).returncode == 3
    assert hwnas("export", "my job", "other", "--trial", "1").returncode == 0


def test_nothing_can_be_feasible(hwnas, folder: Path) -> None:
    """A limit that no arch keeps: exit code 3 with the nearest arch, and nothing is written."""
    done = hwnas(*SEARCH, "--budget", "params <= 100, loss <= 1", check=False)
    assert done.returncode == 3
    assert "no arch keeps 'params <= 100'; the nearest has params 310: " in done.stderr
    assert "width=4" in done.stderr
    assert not (folder / "my job").exists()
    assert not (folder / "trained.txt").exists()


def test_export_never_overwrites(hwnas, folder: Path) -> None:
    hwnas(*SEARCH)
    (folder / "kept").mkdir()
    (folder / "kept/mine").write_text("mine")
    done = hwnas("export", "my job", "kept", check=False)
    assert done.returncode == 1
    assert "kept exists already" in done.stderr
    assert [p.name for p in (folder / "kept").iterdir()] == ["mine"]
    done = hwnas("export", "my job", "new", "--trial", "99", check=False)
    assert done.returncode == 1
    assert "trial 99" in done.stderr
    assert not (folder / "new").exists()


def test_json_is_strict_and_alone(hwnas) -> None:
    """`--json` of every command that has it parses as it stands."""
    found = strict(hwnas(*SEARCH, "--budget", "params <= 2 k", "--json").stdout)
    assert found["counts"]["complete"] == 3
    assert strict(hwnas("show", "my job", "--json").stdout) == found
    hwnas("export", "my job", "out")
    assert strict(hwnas("measure", "out", "--json").stdout)["feasible"] is True
    facts = strict(hwnas("space", "nets:many", "--json").stdout)
    assert facts["size"] == 4**67


def test_show_of_every_kind_of_job(hwnas, folder: Path) -> None:
    """Empty, unfinished, failed: all can be shown and reported."""
    done = hwnas(
        *SEARCH[:2], "--train", "nets:raises", *SEARCH[4:], "--max-failed", "9", check=False
    )
    assert done.returncode == 1
    assert "no trial of my job was completed" in done.stderr
    shown = hwnas("show", "my job").stdout
    assert "3 of 3 trials ended, 3 failed" in shown
    assert "ZeroDivisionError" in shown
    hwnas("show", "my job", "--rows")
    assert strict(hwnas("show", "my job", "--json").stdout)["winner"] is None
    hwnas("report", "my job", "failed.html")
    assert "ZeroDivisionError" in (folder / "failed.html").read_text()
    (folder / "my job/study.journal").unlink()
    done = hwnas("show", "my job", check=False)
    assert done.returncode == 1
    assert "my job/study.journal" in done.stderr


def test_show_while_the_search_runs(hwnas, folder: Path) -> None:
    process = subprocess.Popen([HWNAS, *SEARCH, "--set", "pause=60"], cwd=folder)
    try:
        while not list((folder / "my job").glob("trials/0/metrics.jsonl")):
            assert process.poll() is None
            time.sleep(0.05)
        assert "0 of 3 trials ended, 1 running" in hwnas("show", "my job").stdout
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    finally:
        process.kill()
        process.wait()
    assert "0 of 3 trials ended, 1 cut off" in hwnas("show", "my job").stdout


def test_all_failed_is_an_error_also_as_json(hwnas) -> None:
    done = hwnas(*SEARCH[:2], "--train", "nets:raises", *SEARCH[4:], "--max-failed", "9", "--json",
                 check=False)  # fmt: skip
    assert done.returncode == 1
    assert strict(done.stdout)["counts"]["failed"] == 3


def test_hostile_text_is_shown_as_it_is(hwnas, folder: Path) -> None:
    """Markup in labels and reasons stays text, terminal codes do not reach the terminal."""
    (folder / "hostile.py").write_text(
        "from torch import nn\n"
        "import hwnas\n"
        "space = hwnas.FunctionSpace({'[red]w[/red]': [1, 2], 'b\\x1b[2J': ['[/]', 'y']},\n"
        "                            lambda arch: nn.Linear(4, 4))\n"
        "def train(model, data, report, *, seed):\n"
        "    print('\\x1b[31m[bold]shouting\\x07')\n"
        "    raise ValueError('[/bold] \\x1b[2Jbroken\\nsecond line')\n"
        "def fine(model, data, report, *, seed):\n"
        "    return {'accuracy': 0.5, '[blink]': 1}\n"
    )
    done = hwnas("search", "hostile:space", "--train", "hostile:train", "--trials", "1",
                 "--max-failed", "1", "--job", "bad", check=False)  # fmt: skip
    texts = [done.stdout, hwnas("show", "bad").stdout, hwnas("space", "hostile:space").stdout]
    texts.append(hwnas("search", "hostile:space", "--train", "hostile:fine", "--trials", "1",
                       "--job", "good").stdout)  # fmt: skip
    texts.append(hwnas("show", "good", "--all").stdout)
    for text in texts:
        assert "\x1b" not in text
        assert "\x07" not in text
    assert "[/bold] broken" in texts[0]
    assert "[red]w[/red]" in texts[2]
    assert "[red]w[/red]" in texts[3]
    assert "[blink]" in texts[4].replace("\n", "")


def test_a_closed_pipe_is_no_crash(hwnas, folder: Path) -> None:
    """`hwnas show job | head -1` ends without a word, for each form of output."""
    hwnas(*SEARCH)
    for options in ([], ["--rows"], ["--json"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [HWNAS, "show", "my job", *options],
            cwd=folder, stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        os.close(writing)
        assert done.stderr == "", done.stderr


def test_a_narrow_terminal_loses_no_number(hwnas, folder: Path) -> None:
    """The rows of a table are never cut, however few columns there are."""
    budget = "params <= 2 k, peak_activation_bytes <= 200 kB, loss <= 3"
    hwnas(*SEARCH, "--input-shape", "1,8,8", "--budget", budget)
    wide = hwnas("show", "my job").stdout.split()
    environment = {**os.environ, "COLUMNS": "40", "NO_COLOR": "1"}
    narrow = subprocess.run(
        [HWNAS, "show", "my job"],
        cwd=folder, env=environment, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert narrow == wide
    assert "…" not in narrow


def test_the_live_display(folder: Path) -> None:
    """On a terminal of 80 columns no line is longer, and the display leaves nothing behind."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "40"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [HWNAS, *SEARCH, "--set", "pause=0.4", "--budget", "params <= 1 k"],
        cwd=folder, env=environment, stdin=follower, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    shown = b""
    while True:
        try:
            shown += os.read(leader, 65536)
        except OSError:  # the process has closed its end
            break
    os.close(leader)
    assert process.wait() in (0, 3)
    text = shown.decode()
    assert "of 3 trials" in text
    assert "within budget" in text
    assert "best" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") > 0, "the cursor stays hidden"


def test_space_reads_well(hwnas) -> None:
    """Conditions in words, figures of one cost in one unit, and to the last digit as JSON."""
    shown = hwnas("space", "nets:conditional").stdout
    assert "depth >= 2" in shown
    assert "(depth" not in shown
    assert "always" in shown
    assert "2.2e+40 archs, 67 decisions" in hwnas("space", "nets:many").stdout
    mnist = ["space", "mnist_cnn", "--input-shape", "1,28,28", "--count-bias"]
    shown = hwnas(*mnist).stdout
    assert "0.3975 M" in shown
    exact = json.loads(hwnas(*mnist, "--json").stdout)["costs"]["flops"]
    assert (exact["min"], exact["max"]) == (397_498, 2_324_570)
    assert "2 x MACs + biases" in shown
    counted = hwnas("space", "mnist_cnn", "--input-shape", "1,28,28", "--counting", "nni").stdout
    assert "MACs + biases + batch norms + activations" in " ".join(counted.split())
