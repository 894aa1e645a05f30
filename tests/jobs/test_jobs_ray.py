"""Trials on Ray: the same networks as here, and nothing lost when something dies."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import alive, children, family, results, start, wait_for
from ray_clusters import LOOPBACK, Cluster, cluster, listening, machine
from stores import s3_bucket, s3_server

from hwnas.errors import UsageError
from hwnas.jobs import make_executor

pytest.importorskip("ray", reason="Ray is not installed (pip install 'hwnas[ray]')")

SEARCH = (
    "nets:small", "--train", "nets:quick", "--set", "pause=0.15", "--strategy", "random",
    "--seed", "3", "--job", "job",
)  # fmt: skip


@pytest.fixture(scope="module")
def ray() -> Iterator[Cluster]:
    with cluster() as found:
        yield found


def trials(hwnas, job: str = "job") -> list[dict]:
    return json.loads(hwnas("show", job, "--json").stdout)["trials"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ray?cpus=1.5", "more than 1 must be a whole number"),
        ("ray?gpus=-1", "gpus: "),
        ("ray?resources=pixel", "NAME:AMOUNT"),
        ("ray?placement=heap", "placement: "),
        ("ray?nodes=2", "its options: address, cpus, gpus, resources"),
    ],
)
def test_options(text: str, message: str) -> None:
    """Read strictly, each with the reason."""
    with pytest.raises(UsageError, match=message):
        make_executor(text)


def test_the_same_networks_as_here(hwnas, folder: Path) -> None:
    """The same archs, and the same weights to the bit."""
    search = (
        "digits_cnn", "--task", "digits", "--trials", "3", "--parallel", "2", "--set", "epochs=2",
        "--strategy", "random", "--seed", "5",
    )  # fmt: skip
    hwnas("search", *search, "--job", "here")
    process = start(folder, *search, "--job", "job", "--executor", "ray")
    wait_for(lambda: results(folder), process)
    started = family(process)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, out + err
    assert not alive(started)
    here, there = trials(hwnas, "here"), trials(hwnas)
    for name in ("arch", "metrics", "costs"):
        assert [t[name] for t in there] == [t[name] for t in here]
    for number in range(3):
        file = f"trials/{number}/model.safetensors"
        assert (folder / "job" / file).read_bytes() == (folder / "here" / file).read_bytes()
        assert (folder / f"job/trials/{number}/metrics.jsonl").stat().st_size > 0
    for executor in ((), ("--executor", "local")):  # of itself where the search trained
        hwnas("train", "--job", "job", "--top", "1", "--set", "epochs=3", *executor)
    full = [trials(hwnas, f"job/train/{number}") for number in (1, 2)]
    assert [t[0]["metrics"] for t in full] == [full[0][0]["metrics"]] * 2
    told = [json.loads((folder / f"job/train/{n}/job.json").read_text()) for n in (1, 2)]
    assert [job["executor"] for job in told] == ["ray", "local"]


def test_a_killed_coordinator(hwnas, folder: Path) -> None:
    """Nothing is left of the cluster that it started, which no other machine could reach; the
    resumed search goes on."""
    process = start(folder, *SEARCH, "--trials", "6", "--parallel", "2", "--executor", "ray")
    wait_for(lambda: len(results(folder)) >= 2, process)
    started = family(process)
    assert len(started) > 8
    assert listening(started) <= LOOPBACK
    assert listening(started)
    process.kill()
    process.communicate()
    finished = {p.parent.name: p.stat().st_mtime_ns for p in results(folder)}
    assert len(finished) < 6
    wait_for(lambda: not alive(started), seconds=20)

    hwnas("search", "--resume", "--job", "job")
    assert [t["state"] for t in trials(hwnas)] == ["complete"] * 6
    for name, written in finished.items():
        assert (folder / "job/trials" / name / "manifest.json").stat().st_mtime_ns == written


def test_killed_workers(hwnas, folder: Path, ray: Cluster) -> None:
    """A Ray worker and a training process are killed: both trials are retried, none is lost."""
    process = start(
        folder, *SEARCH, "--set", "steps=10", "--trials", "3", "--parallel", "2", "--retries", "1",
        "--executor", f"ray?address={ray.address}",
    )  # fmt: skip
    wait_for(lambda: len(list((folder / "job/trials").glob("*/metrics.jsonl"))) >= 2, process)
    actor, other = (
        pid for pid, words in alive(family(ray.head)).items() if words.startswith("ray::RayNode")
    )
    (trainer,) = children(other)
    os.kill(actor, signal.SIGKILL)
    os.kill(trainer, signal.SIGKILL)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, out + err
    assert "its Ray process was killed" in out
    assert "the process was killed by SIGKILL" in out
    assert [t["state"] for t in trials(hwnas)] == ["complete"] * 3
    wait_for(lambda: not any("RayNode" in words for words in alive(family(ray.head)).values()))


def test_a_lost_machine(hwnas, folder: Path, ray: Cluster) -> None:
    """Its trial is told apart from a failed one, and trained on another machine."""
    other = ("--address", ray.address, "--num-cpus=1", '--resources={"pixel": 1}')
    with machine(*other) as one, machine(*other) as two:
        process = start(
            folder, *SEARCH, "--set", "steps=20", "--trials", "2",
            "--executor", f"ray?address={ray.address}&resources=pixel:1&placement=spread",
        )  # fmt: skip
        wait_for(lambda: list((folder / "job/trials").glob("*/metrics.jsonl")), process)
        (lost,) = (m for m in (one, two) if "ray::RayNode" in str(alive(family(m))))
        os.killpg(lost.pid, signal.SIGKILL)
        out, err = process.communicate(timeout=200)
    assert process.returncode == 0, out + err
    assert "trial 0 is stale, and is run again: the machine was lost" in out
    assert [t["state"] for t in trials(hwnas)] == ["complete"] * 2


def test_no_machine_is_large_enough(hwnas, folder: Path, ray: Cluster) -> None:
    """The search ends and says what is missing."""
    executor = f"ray?address={ray.address}&resources=pixel:3&wait=0"
    done = hwnas("search", *SEARCH, "--trials", "2", "--executor", executor, check=False)
    assert done.returncode == 1
    assert "no machine of the Ray cluster has CPU 1, pixel 3 for a trial" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_cluster(hwnas, folder: Path) -> None:
    """Ray itself would wait for minutes."""
    executor = "ray?address=127.0.0.1:1&wait=0"
    done = hwnas("search", *SEARCH, "--trials", "1", "--executor", executor, check=False)
    assert done.returncode == 1
    assert "no Ray cluster can be reached at '127.0.0.1:1'" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_folder_in_common(
    hwnas, folder: Path, ray: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job in a store: a machine gets the code from Ray, and its files come through the store."""
    with s3_server():
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
        with machine("--address", ray.address, "--num-cpus=1", '--resources={"far": 1}'):
            monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
            executor = f"ray?address={ray.address}&resources=far:1&working_dir=."
            url = s3_bucket()
            search = (*SEARCH[:-1], url, "--trials", "2", "--executor", executor)
            hwnas("search", *search)
        assert not (folder / "trained.txt").exists()
        assert [t["state"] for t in trials(hwnas, url)] == ["complete"] * 2
        assert len(list((tmp_path / "there").rglob("model.safetensors"))) == 2
        hwnas("export", url, "winner")
    assert list((folder / "winner").rglob("*.safetensors"))
