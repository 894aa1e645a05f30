"""Searches on real images, from the command line to the exported network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import data_path


def test_a_folder_of_photos(hwnas, folder: Path) -> None:
    """A zip with a folder per class: search, report, export, measure."""
    archive = data_path("cifar10-images.zip")
    done = hwnas(
        "search", "image_cnn", "--task", f"images:{archive}?size=16&limit=120",
        "--budget", "latency <= 100 ms, params <= 500 M", "--trials", "1",
        "--set", "epochs=1", "--job", "photos",
    )  # fmt: skip
    assert "winner: trial" in done.stdout
    hwnas("export", "photos", "winner")
    card = json.loads((folder / "winner/card.json").read_text())
    assert card["num_classes"] == 10
    assert 0 < card["test"]["accuracy"] <= 1
    facts = json.loads(hwnas("measure", "winner", "--json").stdout)
    assert facts["feasible"]
    latency = facts["constraints"][0]
    assert latency["measured"]
    assert 0 < latency["interval"][0] <= latency["value"] <= latency["interval"][1] < 100


def test_the_mnist_tutorial_of_vertex_ai_nas(hwnas) -> None:
    """10 trials, 5 at a time, 3 may fail, 2 epochs, FLOPs with biases, a hard limit of 0.8 M.

    Of the 36 archs 14 keep the limit, and no other is trained.
    """
    data = data_path("mnist")
    done = hwnas(
        "search", "mnist_cnn", "--task", f"idx:{data}", "--budget", "flops <= 0.8 M",
        "--count-bias", "--trials", "10", "--parallel", "5", "--max-failed", "3",
        "--set", "epochs=2", "--reward", "hard", "--job", "mnist",
    )  # fmt: skip
    assert "14 of 36 archs keep" in done.stdout
    job = json.loads(hwnas("show", "mnist", "--json").stdout)
    assert job["counts"]["complete"] >= 7
    assert job["space"]["size"] == 36
    winner = next(t for t in job["trials"] if t["number"] == job["winner"])
    flops = winner["costs"]["flops"]["value"]
    assert 397_498 <= flops <= 800_000
    assert winner["metrics"]["accuracy"] > 0.5
    for trial in job["trials"]:
        if trial["state"] == "complete":
            assert trial["costs"]["flops"]["value"] <= 800_000
            assert trial["reward"] == pytest.approx(trial["metrics"]["accuracy"])
    rows = hwnas("show", "mnist", "--rows").stdout
    heading = "".join(rows.partition(" 0 ")[0].split())
    for part in ("id", "reward", "step", "elapsed", "kernel1", "filters2", "million"):
        assert part in heading
    assert f"{flops / 1e6:.4g}" in rows
