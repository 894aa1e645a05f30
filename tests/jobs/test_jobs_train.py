"""Stage 2: chosen trials of a search are trained in full, and compared."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from processes import kill_tree, start, wait_for
from torch import nn

import hwnas
from hwnas._search import resume_search
from hwnas._train import resume_train
from hwnas.budget import make_reward
from hwnas.errors import HwnasError, JobError, UsageError
from hwnas.jobs import Job, Observer, TrialRecord, choose, read_job
from hwnas.jobs._search.finalists import choose_winner

SEARCH = (
    "search", "nets:small", "--train", "nets:quick", "--trials", "6", "--parallel", "2",
    "--strategy", "random", "--seed", "3", "--job", "job",
)  # fmt: skip


def shown(hwnas, job: str) -> dict:
    return json.loads(hwnas("show", job, "--json").stdout)


def build(arch: dict[str, int]) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, arch["width"]), nn.Linear(arch["width"], 10))


def space(widths: tuple[int, ...] = (4, 8, 12, 16, 20, 24)) -> hwnas.FunctionSpace:
    return hwnas.FunctionSpace({"width": list(widths), "depth": [1, 2, 3]}, build)


def trainer():
    """A trainer that no import can reach; the wide fail in stage 1, the narrow in stage 2."""

    def train(model, data, report, *, seed: int, fails: int = 24, gain: float = 1.0):
        width = model[1].out_features
        if width == fails:
            raise OSError("no room")
        return {"accuracy": gain * width / 40 + (0.1 if width == 8 else 0), "loss": 0.5}

    train.metrics = ("loss",)
    return train


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of objects: nine trials, of which some failed."""
    folder = tmp_path_factory.mktemp("search") / "job"
    options = {"trials": 9, "strategy": "random", "seed": 1, "max_failed": 9}
    result = hwnas.search(space(), trainer(), folder=folder, **options)
    assert result.view.failed
    assert len(result.view.complete) >= 4
    return folder


def run(job: Path, *args, **options) -> hwnas.Result:
    return hwnas.train(job, *args, **{"space": space(), "train": trainer(), **options})


def test_a_train_job_from_the_command(hwnas, folder: Path) -> None:
    """It is a job of its own, linked to its search, which shows it; its winner is exported."""
    hwnas(*SEARCH, "--task", "digits", "--budget", "params <= 2 k, loss <= 0.8")
    done = hwnas("train", "--job", "job", "--top", "3", "--set", "steps=5")
    assert "training trials of job in full" in done.stdout
    before, train = shown(hwnas, "job"), shown(hwnas, "job/train/1")
    ranked = sorted(before["trials"], key=lambda t: -t["reward"])
    assert [t["number"] for t in train["parent"]["trials"]] == [t["number"] for t in ranked[:3]]
    assert (train["kind"], before["kind"]) == ("train", "search")
    assert [t["step"] for t in train["trials"]] == [5, 5, 5]
    of = {t["number"]: t["arch"] for t in before["trials"]}
    assert all(t["arch"] == of[t["chosen"]] for t in train["trials"])

    spec = json.loads((folder / "job/train/1/job.json").read_text())
    other = json.loads((folder / "job/job.json").read_text())
    assert spec["parent"]["job"] == str(folder / "job")
    for name in ("fingerprint", "code_hash"):
        assert spec["parent"][name] == other["space"][name]
    for name in ("budget", "seed", "parallel", "devices", "trainer", "task"):
        assert spec[name] == other[name]
    # The search shows what has become of its trials.
    assert [job["name"] for job in before["train_jobs"]] == ["job-train-1"]
    assert "trained in full in job/train/1" in hwnas("show", "job").stdout
    lines = done.stdout.splitlines()
    (accuracy,) = [line for line in lines if line.startswith("  accuracy ")]
    assert "Kendall" in accuracy
    assert "(3 trials)" in accuracy

    hwnas("export", "job/train/1", "winner")
    card = json.loads((folder / "winner/card.json").read_text())
    assert card["trial"] == train["winner"]
    assert card["test"]


def test_kill_and_resume(hwnas, folder: Path) -> None:
    """As a search: what was trained stays, the rest is trained once, in the same order."""
    hwnas(*SEARCH)
    trained = folder / "trained.txt"
    trained.unlink()
    process = start(
        folder, "--job", "job", "--trials", "5,3,1,0,4", "--set", "pause=0.4", command="train"
    )
    done = folder / "job/train/1/trials"
    wait_for(lambda: len(list(done.glob("*/manifest.json"))) >= 2, process)
    kill_tree(process)
    kept = {path: path.stat().st_mtime_ns for path in done.glob("*/manifest.json")}
    assert 2 <= len(kept) < 5

    hwnas("train", "--resume", "--job", "job/train/1")
    job = shown(hwnas, "job/train/1")
    assert [(t["state"], t["chosen"]) for t in job["trials"]] == [
        ("complete", number) for number in (5, 3, 1, 0, 4)
    ]
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    # Those in flight at the kill, two at most, were begun once more.
    assert 5 <= len(trained.read_text().splitlines()) <= 7


def test_it_is_measured_again(hwnas, folder: Path) -> None:
    """In fresh processes, and at the host speed of the search."""
    one = ["1" if a == "6" else a for a in SEARCH]
    hwnas(*one, "--task", "digits", "--budget", "latency <= 5 ms")
    hwnas("train", "--job", "job", "--trials", "0", "--set", "steps=1")
    jobs = [folder / "job", folder / "job/train/1"]
    finalists = json.loads((jobs[1] / "finalists.json").read_text())
    assert sorted(finalists) == ["0"]
    assert len({(job / "devices.json").read_text() for job in jobs}) == 1
    train = shown(hwnas, "job/train/1")
    assert [c["name"] for c in train["stages"]["correlations"]] == ["accuracy", "reward", "latency"]
    for trial in train["trials"]:
        assert (
            trial["costs"]["latency"]["value"]
            == finalists[str(trial["number"])]["costs"]["latency"][0]
        )


def test_all_of_them_are_finalists(searched: Path, tmp_path: Path, monkeypatch) -> None:
    """A search stops measuring when it has a winner; here each number is wanted."""
    measured: list[int] = []

    def measure(job, space, batch, keys):
        measured.extend(trial.number for trial in batch)
        return [{} for _ in batch]

    monkeypatch.setattr("hwnas.jobs._search.finalists._measure", measure)
    result = run(searched, top=4, folder=tmp_path / "full")
    job = Job.open(result.folder)
    choose_winner(job, space(), result.view.budget, make_reward("hard"), {}, Observer())
    assert sorted(measured) == [0, 1, 2, 3]


def test_the_stages_are_compared(searched: Path, tmp_path: Path) -> None:
    """Ranks of what both stages have; what failed in stage 2 is shown and not counted."""
    complete = {
        t.number: t.arch["width"] for t in hwnas.Result.open(searched, space()).view.complete
    }
    failing = min(complete.values())
    result = run(searched, sorted(complete), folder=tmp_path / "full", options={"fails": failing})
    stages = result.stages
    assert stages is not None
    assert {one.number for one, _ in stages.pairs} == set(complete)
    failed = [two for _, two in stages.pairs if two and two.state == "failed"]
    assert failed
    correlation = stages.correlations[0]
    assert correlation.name == "accuracy"
    assert correlation.n == len(complete) - len(failed)
    assert correlation.spearman == correlation.kendall == pytest.approx(1.0)
    # Nothing links back from the search to a folder elsewhere.
    assert hwnas.Result.open(searched, space()).view.train_jobs == ()
    assert hwnas.Result.open(searched, space()).stages is None


def test_the_top_and_the_front(searched: Path, tmp_path: Path) -> None:
    search = hwnas.Result.open(searched, space())
    top = run(searched, top=2, folder=tmp_path / "top")
    assert [t.chosen for t in top.trials] == [t.number for t in search.view.complete[:2]]
    assert top.stages is not None
    assert top.stages.correlations[0].spearman is None  # two are not enough
    front = run(searched, pareto=True, folder=tmp_path / "front")
    assert {t.chosen for t in front.trials} == {t.number for t in search.pareto()}


def test_going_on_from_the_program(searched: Path, tmp_path: Path) -> None:
    """`resume=True` starts what is not there, and trains nothing twice; a limit can be lifted."""
    options = {"top": 3, "folder": tmp_path / "full", "resume": True}
    best = hwnas.Result.open(searched, space()).best.arch["width"]
    with pytest.raises(JobError, match="--max-failed"):
        run(searched, **options, options={"fails": best}, max_failed=0, parallel=1)
    result = run(searched, **options, max_failed=3)
    assert len(result.trials) == 3
    again = run(searched, **options)
    assert [t.started for t in again.trials] == [t.started for t in result.trials]


@pytest.mark.parametrize(
    ("choice", "error", "message"),
    [
        ({"trials": [77]}, JobError, "has no trial 77; complete: "),
        ({"trials": [0, 0]}, UsageError, "trial 0 is given twice"),
        ({"trials": []}, UsageError, "no trial is given"),
        ({"trials": "failed"}, JobError, r"failed \(OSError: no room\); complete: "),
        ({"top": 50}, JobError, "completed trials, fewer than 50"),
        ({"top": 0}, UsageError, "choose one at least"),
        ({}, UsageError, "say which trials"),
        ({"top": 1, "pareto": True}, UsageError, "say which trials"),
        ({"top": 1, "train": None}, JobError, "trainer that cannot be imported"),
        ({"top": 1, "space": None}, JobError, "started with a space object"),
        ({"top": 1, "options": {"depth": 3}}, UsageError, "unexpected keyword argument 'depth'"),
        ({"top": 1, "space": space((4, 8))}, JobError, "the space is not the one"),
        ({"top": 1, "executor": "nowhere"}, UsageError, "unknown executor"),
    ],
)
def test_what_cannot_be_trained(searched: Path, choice, error, message) -> None:
    """One line each, and nothing is written."""
    if choice.get("trials") == "failed":
        number = hwnas.Result.open(searched, space()).view.failed[0].number
        choice = {"trials": [number]}
    with pytest.raises(error, match=message) as caught:
        run(searched, **choice)
    assert isinstance(caught.value, HwnasError)
    assert "\n" not in str(caught.value)
    assert not (searched / "train").exists()


def test_other_data_has_to_fit(tmp_path: Path) -> None:
    result = hwnas.search(
        "digits_cnn", task="digits", trials=1, options={"epochs": 1}, folder=tmp_path / "job"
    )
    import numpy as np
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / "two" / name).mkdir(parents=True)
        for k in range(12):
            pixels = np.full((8, 8), 20 * k, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "two" / name / f"{k}.png")
    with pytest.raises(UsageError, match="does not fit the networks: its num_classes is 2"):
        hwnas.train(result.folder, top=1, task=f"images:{tmp_path / 'two'}?size=8&grey=true")
    with pytest.raises(JobError, match="is not a job"):
        hwnas.train(tmp_path / "nowhere", top=1)
    with pytest.raises(JobError, match="is a search; go on with it by hwnas search --resume"):
        resume_train(result.folder)
    full = hwnas.train(result.folder, top=1, options={"epochs": 1})
    assert full.folder == result.folder / "train" / "1"
    with pytest.raises(JobError, match="is a train job; go on with it by hwnas train --resume"):
        resume_search(full.folder)
    second = hwnas.train(result.folder, [0], options={"epochs": 1})
    assert second.folder == result.folder / "train" / "2"


def test_a_train_job_needs_no_search(searched: Path, tmp_path: Path) -> None:
    """It holds what the search knew; the search's folder may be gone. It is no search itself."""
    moved = tmp_path / "moved"
    shutil.copytree(searched, moved)
    result = run(moved, top=2, folder=tmp_path / "full")
    shutil.rmtree(moved)
    again = hwnas.Result.open(tmp_path / "full", space())
    assert again.stages == result.stages
    with pytest.raises(JobError, match="is a train job itself"):
        run(tmp_path / "full", top=1)


def test_a_search_that_runs(searched: Path, tmp_path: Path) -> None:
    """What has ended can be trained already; a trial that runs cannot."""
    with Job.open(searched).running():
        assert run(searched, top=1, folder=tmp_path / "full").trials[0].state == "complete"
        view = read_job(searched)
    view = replace(view, trials=(*view.trials, TrialRecord(99, "running", {"width": 4})))
    with pytest.raises(JobError, match=r"trial 99 of .* has not ended; complete: "):
        choose(view, [99])


def bias_of(folder: Path, number: int) -> float:
    from safetensors.torch import load_file

    return float(load_file(folder / f"trials/{number}/model.safetensors")["1.bias"][0])


def test_from_the_weights_of_the_search(tmp_path: Path) -> None:
    """Each network has its own again; not so by default. What is gone or damaged is not used."""

    def train(model, data, report, *, seed: int, add: float = 0.0):
        begun = float(model[1].bias[0])
        with torch.no_grad():
            model[1].bias += add
        return {"accuracy": 0.5, "begun": begun}

    job, options = tmp_path / "job", {"train": train, "options": {"add": 1.0}}
    hwnas.search(space(), train, folder=job, trials=3, options={"add": 2.0})
    new = hwnas.train(job, [1, 0], space=space(), **options)
    old = hwnas.train(job, [1, 0], space=space(), from_weights=True, **options)
    for place, number in enumerate((1, 0)):
        assert old.trials[place].metrics["begun"] == bias_of(job, number)
        assert bias_of(old.folder, place) == bias_of(job, number) + 1
        assert new.trials[place].metrics["begun"] == pytest.approx(
            bias_of(job, number) - 2, abs=1e-6
        )
    (job / "trials/2/model.safetensors").write_bytes(b"damaged")
    with pytest.raises(HwnasError, match="is gone or damaged"):
        hwnas.train(job, [2], space=space(), from_weights=True, **options)
