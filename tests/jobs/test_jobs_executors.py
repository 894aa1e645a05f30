"""What every executor keeps: the contract of `hwnas.jobs.Executor`."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cloudpickle
import pytest
import torch
from ray_clusters import cluster
from safetensors.torch import load_file

from hwnas._process import Message
from hwnas.jobs import Executor, Job, JobSpec, Objective, SpaceInfo, Training, make_executor

EXECUTORS = ["local?threads=1", "command?threads=1:cd / && {trial}", "ray?address={address}"]
Make = Callable[..., Executor]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a Ray cluster."""
    with cluster() as found:
        yield found.address


@pytest.fixture(params=EXECUTORS)
def make(request, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes the executor of a new job that trains `nets:small` with a trainer of `nets`."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(folder)
    import nets

    text: str = request.param
    if "{address}" in text:
        text = text.format(address=request.getfixturevalue("address"))
    made: list[Executor] = []

    def maker(trainer: str, size: int = 1, timeout: float | None = None) -> Executor:
        space = nets.small
        spec = JobSpec(
            name="job",
            space=SpaceInfo(
                name="nets:small", reference="nets:small", fingerprint=space.fingerprint,
                code_hash=space.code_hash, size=space.size(),
            ),
            trainer=f"nets:{trainer}",
            objectives=Objective.parse("reward"),
            trials=9,
            max_failed=9,
        )  # fmt: skip
        job = Job.create(folder / "job", spec, space)
        parts = (space, getattr(nets, trainer), {}, None, None, spec.counting)
        log = job.folder / "workers.log"
        training = Training(cloudpickle.dumps(parts), 3, "accuracy", {}, log)
        made.append(make_executor(text)(job, training, size, timeout, queue.Queue()))
        return made[-1]

    yield maker
    for one in made:
        one.close()


def arch(width: int) -> dict[str, object]:
    return {"width": width, "bias": True}


def start(executor: Executor, number: int, width: int) -> None:
    executor.train(number, arch(width), executor.job.trial(number))


def ends(executor: Executor, *numbers: int, also: Callable[[Message], object] = id) -> list:
    """All messages until these trials have ended; `also` is called with each."""
    told: list[Message] = []
    missing = set(numbers)
    end = time.monotonic() + 200
    while missing:
        assert time.monotonic() < end, told
        event = executor.next_event(timeout=1.0)
        if event is not None:
            told.append(event)
            also(event)
            if event["type"] in ("done", "failed"):
                missing.remove(event["trial"])
    return told


def test_done(make: Make) -> None:
    """Reports, result and files of two trials; the weights are those that the seed decides."""
    executor = make("learns", size=2)
    executor.warm_up(2)
    start(executor, 0, 8)
    start(executor, 1, 8)
    assert executor.free == 0
    told = ends(executor, 0, 1)
    assert executor.free == 2
    import nets

    torch.manual_seed(3)
    expected = nets.small.build(arch(8))
    accuracy = nets.learns(expected, None, lambda step, metrics: False, seed=3)["accuracy"]
    for number in (0, 1):
        mine = [event for event in told if event["trial"] == number]
        assert [event["type"] for event in mine] == ["report"] * 3 + ["done"]
        assert [event["step"] for event in mine[:3]] == [1, 2, 3]
        assert mine[3]["step"] == 3
        assert mine[3]["metrics"] == {"accuracy": pytest.approx(accuracy, rel=1e-5)}
        assert mine[3]["costs"]["params"] == sum(p.numel() for p in expected.parameters())
        files = executor.job.trial(number)
        names = {entry.path for entry in files.manifest().files}
        assert {"log.txt", "metrics.jsonl", "model.safetensors", "result.json"} <= names
        assert files.result().metrics == mine[3]["metrics"]
        rows = (files.folder / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(row)["metrics"] for row in rows] == [e["metrics"] for e in mine[:3]]
        assert "step 3 of 3" in (files.folder / "log.txt").read_text()
        weights = load_file(files.folder / "model.safetensors")
        for name, value in expected.state_dict().items():
            torch.testing.assert_close(weights[name], value)
    first, second = (load_file(executor.job.trial(n).folder / "model.safetensors") for n in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_each_way_to_fail(make: Make) -> None:
    """Trials fail with kind, reason and log; those that come after them are trained."""
    executor = make("moody", size=2, timeout=4.0)
    told: list[Message] = []
    widths = dict(enumerate((28, 4, 8, 12, 16, 20, 24, 32)))
    waiting = list(widths)
    while waiting or executor.free < 2:
        while waiting and executor.free:
            number = waiting.pop(0)
            start(executor, number, widths[number])
        event = executor.next_event(timeout=1.0)
        if event is not None:
            told.append(event)
    found = {
        widths[e["trial"]]: (e["type"], e.get("kind"), e.get("reason"))
        for e in told
        if e["type"] != "report"
    }
    assert len(found) == len([e for e in told if e["type"] != "report"]) == 8
    assert found[4] == ("failed", "error", "OSError: no such disk")
    assert found[8] == ("failed", "exit", "the trainer called sys.exit(3)")
    assert found[12] == ("failed", "exit", "the process ended with exit code 5")
    assert found[16][:2] == ("failed", "killed")
    assert "SIGKILL" in found[16][2]
    assert found[20][:2] == ("failed", "metrics")
    assert "accuracy' is nan" in found[20][2]
    assert found[24] == ("failed", "infeasible", "too wide for this chip")
    assert found[28] == ("failed", "timeout", "not finished after 4 s (--trial-timeout)")
    assert found[32][0] == "done"
    logs = {
        number: (executor.job.trial(number).folder / "log.txt").read_text() for number in widths
    }
    assert all(f"width {widths[number]}\n" in log for number, log in logs.items())
    assert "OSError: no such disk" in logs[1]
    gone(int(logs[0].split("child ")[1].split()[0]))
    assert executor.job.trial(0).result() is None


def test_from_the_last_checkpoint(make: Make) -> None:
    """A trial that died at step 3 goes on after step 2, and keeps what it reported before."""
    executor = make("resumes")
    start(executor, 0, 4)
    assert ends(executor, 0)[-1]["kind"] == "exit"
    start(executor, 0, 4)
    assert ends(executor, 0)[-1]["type"] == "done"
    folder = executor.job.trial(0).folder
    log = (folder / "log.txt").read_text()
    assert log.index("goes on after step 0") < log.index("goes on after step 2")
    rows = [json.loads(row) for row in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]


def test_asked_to_stop(make: Make) -> None:
    """The trainer hears of it, and its metrics count."""
    executor = make("stoppable")
    start(executor, 0, 4)
    told = ends(executor, 0, also=lambda event: executor.stop(0))
    assert told[-1]["type"] == "done"
    assert told[-1]["metrics"] == {"accuracy": 0.1}


def test_close_leaves_nothing(make: Make, folder: Path) -> None:
    """Neither the process that trains nor what it started."""
    executor = make("hangs")
    start(executor, 0, 4)
    child = written(executor, folder / "job")
    parent = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
    executor.close()
    gone(child)
    gone(parent)


def written(executor: Executor, job: Path) -> int:
    """The process id that `nets.hangs` prints."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert executor.next_event(timeout=0.1) is None
        for log in job.rglob("log.txt"):
            if "child" in (text := log.read_text()):
                return int(text.split()[1])
    pytest.fail("the trainer did not begin")


def gone(pid: int) -> None:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.1)
    pytest.fail(f"process {pid} is still there")
