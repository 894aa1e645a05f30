"""`hwnas vertex`: the commands of Vertex's client, as real processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from docker_stub import DockerStub, path_without_docker

from hwnas.cli import main
from support import HWNAS

HERE = Path(__file__).parent
SPACE = ("--search_space_module=spaces.layers",)
METRIC = ("--nas_target_reward_metric", "nas_reward")
LOCAL = ("--run_local_binary", "true", "--local_binary", "trainer.py")
SEARCH = ("search", "--job_name=mnist", *METRIC, *SPACE)
CALCULATOR = ("--latency_calculator_local_binary", "calculator.py")


def start(root: Path, *words: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [HWNAS, "vertex", *words],
        cwd=HERE,
        env={**os.environ, "HWNAS_STORE": str(root), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def vertex(root: Path, *words: str, code: int = 0, **env: str) -> str:
    process = start(root, *words, **env)
    out, err = process.communicate()
    assert process.returncode == code, out + err
    assert "Traceback" not in err
    return out if code == 0 else err


def search(root: Path, *words: str, code: int = 0, **env: str) -> str:
    return vertex(root, *SEARCH, *words, code=code, **env)


class Inside:
    """The command in this process, which is quicker: for what starts no process."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, capture: Any) -> None:
        self._patch, self._capture = patch, capture
        patch.setenv("HWNAS_STORE", str(root))
        patch.chdir(HERE)

    def __call__(self, *words: str, code: int = 0) -> str:
        self._patch.setattr(sys, "argv", ["hwnas", "vertex", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capture.readouterr()
        assert ended.value.code == code, out + err
        return str(err if code else out)

    def rows(self, number: str, *words: str) -> list[dict[str, Any]]:
        found = json.loads(self("list_trials", "--job_id", number, *words))
        assert isinstance(found, list)
        return found


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Inside:
    return Inside(tmp_path, monkeypatch, capsys)


def job_id(out: str) -> str:
    found = re.search(r"^NAS \w+ job ID: (\d+)$", out, re.MULTILINE)
    assert found
    return found[1]


def metrics(row: dict[str, Any], stage: str = "search") -> dict[str, float]:
    told = row[f"{stage}Trial"]["finalMeasurement"]["metrics"]
    return {one["metricId"]: one["value"] for one in told}


def test_a_search_its_trials_and_their_full_training(tmp_path: Path, inside: Inside) -> None:
    """The number that a search prints is all that the other commands need, on any machine."""
    out = search(tmp_path, *LOCAL, "--max_nas_trial=4", "--seed=1")
    number = job_id(out)
    assert number == "1"
    rows = json.loads(vertex(tmp_path, "list_trials", "--job_id", number))
    assert len(rows) == 4
    rewards = [metrics(row)["nas_reward"] for row in rows]
    assert rewards == sorted(rewards, reverse=True)
    best = rows[0]["searchTrial"]
    assert best["state"] == "SUCCEEDED"
    assert best["finalMeasurement"]["stepCount"] == "2"
    assert best["startTime"] <= best["endTime"]
    assert "[0].kernel" in json.loads(rows[0]["parameters"])

    file = tmp_path / "trials.json"
    inside("list-trials", "--job-id=1", f"--trials-output-file={file}", "--max_trials=0")
    assert json.loads(file.read_text()) == rows
    assert inside.rows(number, "--max_trials", "2") == rows[:2]

    chosen = [rows[2]["searchTrial"]["id"], best["id"]]
    out = inside(
        *("train", "--search_job_id", number, "--search_job_region=us-central1", *METRIC, *LOCAL),
        *("--train_job_suffix=full", "--train_nas_trial_numbers", ",".join(chosen), *SPACE),
        *("--train_docker_flags", "how=in steps"),
    )
    trained = inside.rows(job_id(out))
    assert {row["trainTrial"]["id"] for row in trained} == {"1", "2"}
    assert trained[0]["parameters"] == rows[0]["parameters"]
    assert metrics(trained[0], "train") == metrics(rows[0])
    assert (next(tmp_path.glob("search_1_full_*")) / "nas" / "train" / "2").is_dir()


def test_trials_that_cannot_be_trained_are_named(tmp_path: Path, inside: Inside) -> None:
    inside(*SEARCH, *LOCAL, "--max_nas_trial=1")
    fails = ("--max_nas_trial=1", "--search_docker_flags", "how=exit")
    assert "has succeeded" in inside(*SEARCH, *LOCAL, *fails, code=1)

    def refused(job: str, trials: str, *more: str) -> str:
        words = ("train", f"--search_job_id={job}", "--train_job_suffix=full", *METRIC, *LOCAL)
        return inside(*words, f"--train_nas_trial_numbers={trials}", *more, code=2)

    assert "spaces.edited is not the space" in refused(
        "1", "1", "--search_space_module=spaces.edited"
    )
    assert "job-dir" in refused("1", "1", "--train_docker_flags", "job-dir=here")

    assert "NAS job 1 has no trial 9; it has 1" in refused("1", "1,9")
    assert "1 is named twice" in refused("1", "1,1")
    assert "write numbers of trials" in refused("1", "best")
    assert "trial 1 of NAS job 2 has not succeeded: it is failed" in refused("2", "1")


def test_calculators_start_with_a_search_and_end_with_it(tmp_path: Path, inside: Inside) -> None:
    """Flags reach them; each measures its part of the trials."""
    out = search(
        tmp_path,
        *(*LOCAL, *CALCULATOR, "--num_cloud_latency_workers=2", "--max_nas_trial=2"),
        *("--search_docker_flags", "latency=saved_model", "--latency_docker_flags", "how=slow"),
    )
    rows = inside.rows(job_id(out))
    assert [metrics(row)["latency"] for row in rows] == [5.5, 5.5]
    (folder,) = tmp_path.glob("mnist_*")
    measured = [line.split()[:2] for line in (folder / "measured.txt").read_text().splitlines()]
    assert sorted(measured) == [["1", "1"], ["2", "0"]]  # trial % 2 is the calculator
    assert not list((folder / "latency" / "search" / "workers").rglob("*-*"))


def test_without_its_calculator_no_trial_starts(tmp_path: Path, inside: Inside) -> None:
    told = inside(*SEARCH, *LOCAL, *CALCULATOR, "--latency_docker_flags", "lease=fast", code=1)
    assert "latency calculator 0 ended with code 2 before it was ready" in told
    assert "invalid float value: 'fast'" in told
    assert not list(tmp_path.glob("mnist_*/nas"))


def test_a_calculator_on_another_machine(tmp_path: Path, inside: Inside) -> None:
    """It finds the job by its number and the store, and ends with the job."""
    words = (*SEARCH, *LOCAL, "--max_nas_trial=2")
    searching = start(tmp_path, *words, "--search_docker_flags", "latency=saved_model")
    assert searching.stdout is not None
    number = job_id(searching.stdout.readline())
    place = ("--latency_worker_id=0", "--num_latency_workers=1")
    job = ("run-latency-calculator-local", f"--search_job_id={number}", *CALCULATOR, *place)
    vertex(tmp_path, *job)
    assert searching.wait() == 0, searching.communicate()
    searching.communicate()
    assert len(inside.rows(number)) == 2


def test_a_calculator_that_cannot_be_is_refused(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = "run_latency_calculator_local"
    five = ("--search_job_id=1", "--latency_worker_id=5", "--num_latency_workers=2")
    assert "--latency_worker_id 5 of 2" in inside(run, *five, code=2)
    assert "which job?" in inside(run, code=2)
    told = inside(run, "--search_job_id=7", code=1)
    assert "there is no NAS job 7 in file://" in told
    assert "HWNAS_STORE" in told
    monkeypatch.delenv("HWNAS_STORE")
    told = inside(run, "--search_job_id=7", code=2)
    assert "set --root_output_dir or the environment variable HWNAS_STORE" in told


def test_images_run_in_docker(
    tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All flags reach the process in its container; the job's folder is there under its path."""
    images = {
        "trainer:latest": [sys.executable, str(HERE / "trainer.py")],
        "us-west1-docker.pkg.dev/p/nas/measure:latest": [
            sys.executable,
            str(HERE / "calculator.py"),
        ],
    }
    docker = DockerStub(tmp_path, images)
    root = tmp_path / "root"
    out = search(
        root,
        *("--trainer_docker_id=trainer:latest", "--max_nas_trial=1", "--project_id=p"),
        *("--search_docker_flags", "latency=saved_model", "how=in steps", "--region=us-west1"),
        *("--latency_calculator_docker_id=measure", "--latency_docker_flags", "how=well"),
        *("--target_device_type=CPU", "--accelerator_type", ""),
        PATH=docker.path,
    )
    monkeypatch.setenv("HWNAS_STORE", str(root))
    assert metrics(inside.rows(job_id(out))[0])["latency"] == 5.5
    calls = [call["argv"] for call in docker.calls("run")]
    assert len(calls) == 2
    for argv in calls:
        assert f"type=bind,source={root},target={root}" in argv
        assert "--rm" in argv
    trainer = next(argv for argv in calls if "trainer:latest" in argv)
    assert "--how=in steps" in trainer[trainer.index("trainer:latest") :]


def test_without_docker_a_search_says_so(
    tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", path_without_docker())
    told = inside(*SEARCH, "--trainer_docker_id=trainer", code=1)
    assert "docker is not on the PATH" in told
    assert "--run_local_binary true" in told
    assert not list(tmp_path.glob("nas_jobs/*.json"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (LOCAL[:2], "name the program: --local_binary"),
        (LOCAL[2:], "--local_binary goes with --run_local_binary true"),
        ((), "which trainer?"),
        ((*LOCAL, "--max_nas_trial=0"), "max_nas_trial"),
        ((*LOCAL, "--max_parallel_nas_trial=-3"), "max_parallel_nas_trial"),
        ((*LOCAL, "--max_failed_nas_trial=x"), "max_failed_nas_trial"),
        ((*LOCAL, "--use_prebuilt_latency_calculator=ture"), "'true', 'false'"),
        ((*LOCAL, "--target_device_type=TPU"), "target_device_type"),
        ((*LOCAL, "--search_docker_flags", "epochs"), "name=value"),
        ((*LOCAL, "--latency_docker_flags", "a=1"), "no latency calculator to take them"),
        ((*LOCAL, *CALCULATOR, "--latency_calculator_docker_id=x"), "give one of them"),
        ((*LOCAL, "--nas_target_reward_metric="), "must be set"),
        ((*LOCAL, "--search_space_module="), "which space?"),
        ((*LOCAL, "--prebuilt_search_space=spinenet"), "not part of hwnas"),
        ((*LOCAL, "--search_docker_flags", "nas_params_str={}"), "nas_params_str"),
        ((*LOCAL, "--job_name=a/b"), "job name"),
    ],
)
def test_flags_that_make_no_sense(
    words: tuple[str, ...], told: str, tmp_path: Path, inside: Inside
) -> None:
    """Nothing is started, and no number used up."""
    assert told in inside(*SEARCH, *words, code=2)
    assert not list(tmp_path.glob("nas_jobs/*.json"))


def test_flags_without_effect_are_told_once(inside: Inside) -> None:
    words = ("build", "--trainer_docker_id=x", "--service_account=me", "--service-endpoint=TEST")
    lines = inside(*words, code=1).splitlines()
    assert lines[0] == "without effect here: --service_endpoint, --service_account"
    assert len(lines) == 2


def test_a_search_goes_on_and_trains_in_full_meanwhile(tmp_path: Path, inside: Inside) -> None:
    out = inside(
        *(*SEARCH, *LOCAL, "--max_nas_trial=3", "--max_parallel_nas_trial=2"),
        *("--train_docker_flags", "how=well", "--train_frequency=2"),
        "--train_max_parallel_trial=1",
    )
    assert re.findall(r"NAS (\w+) job ID: (\d+)", out) == [("Search", "1"), ("Train", "2")]
    first_two = [row for row in inside.rows("1") if row["searchTrial"]["id"] in "12"]
    (trained,) = inside.rows("2")
    assert trained["parameters"] == first_two[0]["parameters"]
    out = inside("search_resume", "--previous_nas_job_id=1", "--job_name=m", "--max_nas_trial=1")
    assert len(inside.rows(job_id(out))) == 4


def test_an_interrupted_search_leaves_nothing_running(tmp_path: Path) -> None:
    """Trainer and calculator end with it; it says how to go on."""
    words = (*SEARCH, *LOCAL, *CALCULATOR)
    searching = start(tmp_path, *words, "--max_nas_trial=1", "--search_docker_flags", "how=hangs")
    while not list(tmp_path.glob("mnist_*/nas/search/1/nas_params_str.json")):
        assert searching.poll() is None
        time.sleep(0.1)
    searching.send_signal(signal.SIGINT)
    _, err = searching.communicate()
    assert searching.returncode == 130
    assert "search_resume --previous_nas_job_id 1 --job_name mnist --max_nas_trial N" in err
    for process in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            assert str(tmp_path).encode() not in process.read_bytes()


def test_one_trial_in_local(tmp_path: Path) -> None:
    words = ("search_in_local", *SPACE, *LOCAL, f"--local_output_dir={tmp_path / 'out'}")
    out = vertex(tmp_path, *words, "--local_binary_flags", "how=well")
    assert re.search(r"^nas_reward 0\.\d+$", out, re.MULTILINE)
    assert (tmp_path / "out" / "nas" / "search" / "1" / "nas_params_str.json").is_file()
