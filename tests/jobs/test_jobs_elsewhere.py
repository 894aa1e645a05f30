"""A job in a store: what another machine sees of it, and going on with it there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import kill_tree, start, wait_for
from stores import SERVERS, s3_bucket, s3_server

from hwnas.jobs import Store

SEARCH = (
    "nets:small", "--train", "nets:quick", "--set", "pause=0.1", "--trials", "6", "--parallel",
    "2", "--strategy", "random", "--seed", "3",
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    with s3_server():
        yield


@pytest.fixture
def url(server: None) -> str:
    return s3_bucket()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Become another machine: one that has nothing of the job."""

    def become(name: str) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches" / name))

    become("first")
    return become


def shown(hwnas, url: str) -> dict:
    return json.loads(hwnas("show", url, "--json").stdout)


def published(url: str) -> list[str]:
    return [name for name in Store(url).names("trials") if name.endswith("/manifest.json")]


def test_a_search_in_a_store_is_the_search_in_a_folder(hwnas, folder, url, machine) -> None:
    hwnas("search", *SEARCH, "--job", url)
    hwnas("search", *SEARCH, "--job", "job")
    machine("second")
    there, here = shown(hwnas, url), shown(hwnas, "job")
    assert there["state"] == "done"
    facts = [
        [(t["number"], t["state"], t["arch"], t["metrics"], t["reward"]) for t in one["trials"]]
        for one in (there, here)
    ]
    assert facts[0] == facts[1]
    assert there["winner"] == here["winner"]
    hwnas("report", url)
    assert "</html>" in (folder / "report.html").read_text()
    assert not any(path.name == "s3:" for path in folder.iterdir())
    content = "".join(
        (Store(url).get(name) or b"").decode(errors="replace") for name in Store(url).names()
    )
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in content


@pytest.mark.parametrize("kind", SERVERS)
def test_killed_here_resumed_there(hwnas, folder, kind, machine) -> None:
    with SERVERS[kind][0]():
        _killed_and_resumed(hwnas, folder, SERVERS[kind][1](), machine)


def _killed_and_resumed(hwnas, folder: Path, url: str, machine) -> None:
    process = start(folder, *SEARCH, "--job", url)
    wait_for(lambda: len(published(url)) >= 2, process)
    kill_tree(process)
    done = {name: Store(url).get(name) for name in published(url)}
    machine("second")
    hwnas("search", "--resume", "--job", url)
    trials = shown(hwnas, url)["trials"]
    assert [one["state"] for one in trials] == ["complete"] * 6
    assert {name: Store(url).get(name) for name in done} == done
    trained = (folder / "trained.txt").read_text().splitlines()
    assert 6 <= len(trained) <= 8  # those in flight at the kill, two at most, were begun once more


def test_stage_2_of_a_search_elsewhere(hwnas, folder, url, machine) -> None:
    """A train job lies beside its search, and goes on where it was cut off, on any machine."""
    hwnas("search", *SEARCH, "--job", url)
    machine("second")
    full = ("--job", url, "--top", "3", "--parallel", "1", "--set", "pause=0.5")
    process = start(folder, *full, command="train")
    train = f"{url}/train/1"
    wait_for(
        lambda: any("/manifest.json" in name for name in Store(train).names("trials")), process
    )
    kill_tree(process)
    kept = {name: Store(train).get(name) for name in published(train)}
    machine("third")
    hwnas("train", "--resume", "--job", train)
    search = shown(hwnas, url)
    (told,) = search["train_jobs"]
    assert told["state"] == "done"
    assert [trial["state"] for trial in told["trials"]] == ["complete"] * 3
    assert {name: Store(train).get(name) for name in kept} == kept
    best = sorted(search["trials"], key=lambda trial: -trial["reward"])[:3]
    assert [trial["chosen"] for trial in told["trials"]] == [trial["number"] for trial in best]
    assert "rank" in hwnas("show", train).stdout.lower()


def test_the_winner_is_exported_elsewhere(hwnas, folder, url, machine) -> None:
    hwnas("search", *SEARCH[:-6], "--trials", "2", "--input-shape", "1,8,8", "--job", url)
    machine("second")
    hwnas("export", url, "winner")
    assert (folder / "winner" / "model.onnx").is_file()
    model = Store(url).names("trials/0")[-2]
    assert model == "trials/0/model.safetensors"
    Store(url).put(model, b"hostile")
    machine("third")
    told = hwnas("export", url, "again", "--trial", "0", check=False)
    assert told.returncode == 1
    assert f"error: {url}/{model} is damaged" in told.stderr


def test_cancel_from_another_machine(hwnas, folder, url, machine) -> None:
    endless = ("nets:small", "--train", "nets:stoppable", "--trials", "3", "--job", url)
    process = start(folder, *endless)
    wait_for(lambda: Store(url).names("trials"), process)
    machine("second")
    busy = hwnas("search", "--resume", "--job", url, check=False)
    assert busy.returncode == 1
    assert f"{url} is being run by process {process.pid}" in busy.stderr
    assert "asked" in hwnas("cancel", url).stdout
    process.communicate(timeout=60)
    assert process.returncode == 0
    told = shown(hwnas, url)
    assert told["state"] == "cancelled"
    assert [one["state"] for one in told["trials"]] == ["complete"]


def test_ctrl_c_names_the_url(hwnas, folder, url, machine) -> None:
    process = start(folder, *SEARCH, "--job", url)
    wait_for(lambda: len(published(url)) >= 1, process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert f"hwnas search --resume --job {url}" in stderr
    assert "Traceback" not in stderr


LATE = """
import hwnas.jobs._folder.hold as hold
hold.LEASE = 1.5
from hwnas.__main__ import main
main()
"""


def test_a_search_that_was_paused_past_its_lease_writes_nothing_more(
    hwnas, folder, url, machine
) -> None:
    (folder / "late.py").write_text(LATE)
    command = [sys.executable, "late.py", "search"]
    slow = ["pause=2" if one == "pause=0.1" else one for one in SEARCH]
    paused = subprocess.Popen(
        [*command, *slow, "--job", url], cwd=folder, stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: len(published(url)) >= 1)
        paused.send_signal(signal.SIGSTOP)
        machine("second")
        done = subprocess.run(
            [*command, "--resume", "--job", url], cwd=folder, capture_output=True, text=True,
            timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        store = Store(url)
        before = {name: store.get(name) for name in store.names()}
        paused.send_signal(signal.SIGCONT)
        _, stderr = paused.communicate(timeout=60)
        assert paused.returncode == 1
        assert "goes on with" in stderr
        assert len(stderr.splitlines()) == 1
        after = {name: store.get(name) for name in store.names()}
        changed = {name for name in after if after[name] != before.get(name)}
        assert all(name.startswith("lock/beats/") for name in changed), changed
        assert before.keys() <= after.keys()
    finally:
        paused.kill()
        paused.wait()


def test_a_job_cannot_be_in_memory(hwnas, folder) -> None:
    told = hwnas("search", *SEARCH, "--job", "memory://job", check=False)
    assert told.returncode == 1
    assert "a job cannot be in memory, which ends with the process" in told.stderr


@pytest.mark.parametrize("command", [["show"], ["search", "--resume", "--job"], ["cancel"]])
def test_a_url_without_a_job_is_told(hwnas, url, machine, command: list[str]) -> None:
    told = hwnas(*command, url, check=False)
    assert told.returncode == 1
    assert told.stderr == f"error: {url} is not a job: it has no job.json\n"
