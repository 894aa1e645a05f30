"""Searches with measured costs: devices by name, several at once, finalists, exports."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest
from processes import kill_tree, results, start, wait_for


def trials_of(hwnas, job: str) -> list[dict]:
    return json.loads(hwnas("show", job, "--json").stdout)["trials"]


DIGITS = ("search", "nets:small", "--task", "digits", "--train", "nets:quick", "--job", "job")


def test_two_devices_and_two_metrics(hwnas, folder: Path) -> None:
    """A budget over ONNX Runtime and eager PyTorch; the export is measured by another process."""
    budget = "latency@ort <= 5 ms, throughput@eager >= 100 items/s, params <= 10 k"
    hwnas(
        *DIGITS, "--trials", "4", "--parallel", "2", "--budget", budget,
        "--device", "ort", "--device", "eager=torch?batch_size=4",
    )  # fmt: skip
    job = json.loads(hwnas("show", "job", "--json").stdout)
    for trial in job["trials"]:
        assert trial["state"] == "complete", trial["failure"]
        assert 0 < trial["costs"]["latency@ort"]["value"] < 5
        assert trial["costs"]["latency@ort"]["std"] > 0
        assert trial["costs"]["throughput@eager"]["value"] > 100
    finalists = json.loads((folder / "job/finalists.json").read_text())
    assert str(job["winner"]) in finalists
    measured = folder / f"job/trials/{job['winner']}/measurements.json"
    assert set(json.loads(measured.read_text())) == {"ort", "eager"}

    hwnas("export", "job", "winner")
    again = json.loads(hwnas("measure", "winner", "--json").stdout)
    assert again["feasible"]
    assert [row["measured"] for row in again["constraints"]] == [True, True, False]


def test_a_network_that_cannot_be_exported(hwnas, folder: Path) -> None:
    """ONNX export fails: the trial fails and says so; no number is made up."""
    (folder / "odd.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "import hwnas\n"
        "class Odd(nn.Module):\n"
        "    def forward(self, x):\n"
        "        return torch.linalg.eigvals(x[:, 0]).real\n"
        "space = hwnas.FunctionSpace({'a': [1, 2]}, lambda arch: Odd())\n"
        "def train(model, data, report, *, seed):\n"
        "    return {'accuracy': 0.5}\n"
    )
    done = hwnas(
        "search", "odd:space", "--task", "digits", "--train", "odd:train", "--job", "job",
        "--trials", "1", "--max-failed", "1", "--budget", "latency <= 5 ms", check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (trial,) = trials_of(hwnas, "job")
    assert trial["state"] == "failed"
    assert "Odd cannot be exported to ONNX" in trial["failure"]["reason"]


def test_a_trained_trial_is_only_measured_after_a_kill(hwnas, folder: Path) -> None:
    """What is left to do for a trial that was killed between training and telling the study."""
    process = start(folder, *DIGITS[1:], "--trials", "2", "--budget", "latency <= 5 ms")
    wait_for(lambda: len(results(folder)) >= 1, process)
    kill_tree(process)
    assert not list(folder.glob("job/trials/*/measurements.json")), "the kill came too late"
    told = [path.with_name("result.json") for path in results(folder)]
    finished = [json.loads(path.read_text())["metrics"]["accuracy"] for path in told]
    hwnas("search", "--resume", "--job", "job")
    assert [t["state"] for t in trials_of(hwnas, "job")] == ["complete", "complete"]
    trained = (folder / "trained.txt").read_text().splitlines()
    assert [trained.count(f"{accuracy:.6f}") for accuracy in finished] == [1] * len(finished)


@pytest.mark.parametrize("size", [300, 3_000])
def test_a_full_disk_costs_nothing_that_was_done(hwnas, folder: Path, size: int) -> None:
    """No write beyond `size` bytes succeeds: first the request, then weights and journal fail.

    One line says so; with room again, the search goes on to its end.
    """

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    arguments = ("search", "nets:small", "--train", "nets:quick", "--trials", "3", "--job", "job")
    done = hwnas(*arguments, "--max-failed", "0", check=False, preexec_fn=full)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "too large" in done.stderr, done.stderr
    if (folder / "job/job.json").exists():
        for file in (folder / "job").rglob("*.json"):
            json.loads(file.read_text())
        before = [t["number"] for t in trials_of(hwnas, "job") if t["state"] == "complete"]
        hwnas("search", "--resume", "--job", "job")
        after = {t["number"]: t["state"] for t in trials_of(hwnas, "job")}
        assert len(after) == 3
        assert all(after[number] == "complete" for number in before)
    else:
        hwnas(*arguments)
        assert len(trials_of(hwnas, "job")) == 3
