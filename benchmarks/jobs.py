"""Jobs: what the coordinator takes per trial, how long a measurement elsewhere takes, and races.

Run as `python -m benchmarks.jobs [--quick] [--json FILE] [--only PART]`. A part whose server is
not installed (`make s3 postgres`) is left out and says so. Servers, workers and the coordinator
share this machine, so each figure holds all of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from benchmarks._rows import Row, main

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the servers that the tests start
PARALLEL, WARM_UP = 16, 20


def overhead(storage: str | None, trials: int, folder: Path) -> float:
    """Milliseconds per trial of a search whose trials end as soon as they begin, 16 at a time.

    What is timed is all that the coordinator does: asking the strategy, writing the trial's arch,
    starting it, telling costs and rewards.
    """
    from hwnas import search
    from hwnas.jobs import Executor
    from hwnas.strategy import StudyStore

    class Immediate(Executor):
        def _start(self, number: int, arch: Mapping[str, Any], folder: object) -> None:
            result = {"metrics": {"accuracy": 0.5}, "costs": {"params": 9.0}}
            done = {"type": "done", "trial": number, "step": None, "elapsed": 0.0, **result}
            threading.Thread(target=self.events.put, args=(done,)).start()

        def stop(self, number: int) -> None:
            pass

        def close(self) -> None:
            pass

    def make(job: object, training: object, size: int, timeout: object, events: object) -> Executor:
        return Immediate(None, job, training, size, timeout, events)  # type: ignore[arg-type]

    result = search(_space(), _nothing, executor=make, **_request(trials, storage, folder))
    assert len(result.view.complete) == trials
    study = StudyStore(storage or str(folder / "study.journal"), folder.name).load()
    assert [t.number for t in study.trials] == list(range(trials))
    ends = sorted(t.datetime_complete.timestamp() for t in study.trials if t.datetime_complete)
    return 1000 * (ends[-1] - ends[WARM_UP]) / (len(ends) - 1 - WARM_UP)


def processes(quick: bool) -> list[Row]:
    """The same trials in processes that train for half a second each, on PostgreSQL."""
    from hwnas import search
    from hwnas.strategy import StudyStore

    trials = 64 if quick else 200
    with _server("PostgreSQL") as server, tempfile.TemporaryDirectory() as name:
        if server is None:
            return []
        os.environ["BENCHMARK_STUDY"] = server.database()
        folder, began, worked = Path(name, "job"), time.perf_counter(), time.process_time()
        search(_space(), _brief, **_request(trials, "env:BENCHMARK_STUDY", folder))
        seconds, worked = time.perf_counter() - began, time.process_time() - worked
        known = StudyStore("env:BENCHMARK_STUDY", "job").load().trials
        trained = Counter(path.read_text().count("\n") for path in folder.glob("trials/*/log.txt"))
    numbers = [t.number for t in known if t.state.name == "COMPLETE"]
    wrong = abs(trials - len(numbers)) + abs(trials - len({*numbers})) + abs(trials - trained[1])
    figure = f"{trials} trials in {PARALLEL} processes, PostgreSQL: "
    return [
        Row(figure + "lost, or trained or counted twice", wrong, "", 0, "lower"),
        Row(figure + "the coordinator's CPU per trial", 1000 * worked / trials, "ms", 50, "lower"),
        Row(figure + "whole search", seconds, "s", None, "lower"),
    ]


def _request(trials: int, storage: str | None, folder: Path) -> dict[str, Any]:
    return {
        "budget": "params <= 100",
        "trials": trials,
        "parallel": PARALLEL,
        "strategy": "random",
        "storage": storage,
        "folder": folder,
    }


def _space() -> Any:
    from hwnas import FunctionSpace

    return FunctionSpace({f"d{i}": [0, 1, 2, 3] for i in range(6)}, _network)


def _network(arch: dict[str, object]) -> object:
    from torch import nn

    return nn.Linear(2, 3)


def _brief(model: object, data: object, report: object, *, seed: int) -> dict[str, float]:
    print("trained")
    time.sleep(0.5)
    return {"accuracy": 0.5}


def _nothing(model: object, data: object, report: object, *, seed: int) -> dict[str, float]:
    return {"accuracy": 0.5}


def overheads(quick: bool) -> list[Row]:
    """The coordinator's time per trial, on a journal and on PostgreSQL."""
    repeats, trials = (1, 200) if quick else (5, 200)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = [overhead(None, trials, folder / f"journal{i}") for i in range(repeats)]
        figure = f"coordinator per trial, {trials} trials, {PARALLEL} parallel, "
        rows.append(Row(figure + "journal", median(times), "ms", 50, "lower"))
        size = (folder / "journal0" / "study.journal").stat().st_size / trials
        rows.append(Row("journal per trial, 6 decisions", size / 1024, "KiB", None, "lower"))
    with _server("PostgreSQL") as server:
        if server is not None:
            with tempfile.TemporaryDirectory() as name:
                times = []
                for i in range(repeats):
                    os.environ["BENCHMARK_STUDY"] = server.database()
                    times.append(overhead("env:BENCHMARK_STUDY", trials, Path(name, str(i))))
            rows.append(Row(figure + "PostgreSQL", median(times), "ms", 50, "lower"))
    return rows


def handshakes(quick: bool) -> list[Row]:
    """From a saved model to its measurement read, by a worker of another process."""
    count = 20 if quick else 100
    peer = (30.0, "Vertex AI NAS, 30-90 s")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        seconds = handshake(name, Path(name), count)
    figure = "model saved to result read, 1 ms model, "
    rows.append(Row(figure + "folder", median(seconds), "s", 1, "lower", *peer))
    with _server("SeaweedFS") as server, tempfile.TemporaryDirectory() as name:
        if server is not None:
            os.environ.update(server.environment)
            seconds = handshake(server.bucket(), Path(name), count)
            rows.append(Row(figure + "S3 (SeaweedFS)", median(seconds), "s", 1, "lower", *peer))
    return rows


def handshake(url: str, folder: Path, count: int) -> list[float]:
    """Seconds for each of `count` models."""
    import torch

    from hwnas.device import export_onnx
    from hwnas.jobs import QueueDevice, Store

    model = export_onnx(torch.nn.Linear(4, 2), (torch.zeros(1, 4),), folder / "model.onnx")
    seconds = []
    with _workers(url, folder, 1, 0.001):
        device = QueueDevice(Store(url), "board")
        for trial in range(count):
            device.trial = trial
            began = time.perf_counter()
            device.measure([model], torch.zeros(1, 4))
            seconds.append(time.perf_counter() - began)
            time.sleep(0.5)  # a worker that waits, as beside training
    return seconds


def races(quick: bool) -> list[Row]:
    """Two workers that race for the same requests: each is measured once."""
    import torch

    from hwnas.device import export_onnx
    from hwnas.jobs import QueueDevice, Store

    count = 200 if quick else 1000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = export_onnx(torch.nn.Linear(4, 2), (torch.zeros(1, 4),), folder / "model.onnx")
        with _workers(name, folder, 2, 0.0):
            devices = [QueueDevice(Store(name), "board", trial=trial) for trial in range(1, count)]
            began = time.perf_counter()
            posted = [device._post(model, (torch.zeros(1, 4),), None) for device in devices]
            devices[0]._wait(posted)
            seconds = time.perf_counter() - began
        lines = [line.split() for line in (folder / "evaluated").read_text().splitlines()]
    counts = Counter(trial for trial, _ in lines if trial != "0")
    wrong = sum(abs(counts[str(trial)] - 1) for trial in range(1, count))
    shares = Counter(worker for trial, worker in lines if trial != "0")
    least = min(shares.values()) / (count - 1) if len(shares) == 2 else 0.0
    figure = f"two workers, {count} requests: "
    return [
        Row(figure + "measured more or less than once", wrong, "", 0, "lower"),
        Row(figure + "share of the one that got fewer", least, "", None, "higher"),
        Row(figure + "time for each", 1000 * seconds / count, "ms", None, "lower"),
    ]


@contextmanager
def _workers(url: str, folder: Path, count: int, seconds: float) -> Iterator[None]:
    from hwnas.jobs import Store

    evaluator = ROOT / "tests" / "jobs" / "evaluators.py"
    command = [
        str(Path(sys.executable).parent / "hwnas"), "worker", "--job", url, "--device", "board",
        "--evaluator", f"{evaluator}:Counting",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "EVALUATED": str(folder / "evaluated"),
        "EVALUATION_SECONDS": str(seconds),
    }
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(count)
    ]
    try:
        store = Store(url)
        while len(store.names("queue/board/workers")) < count:
            assert all(one.poll() is None for one in running), "a worker ended"
            time.sleep(0.1)
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


@contextmanager
def _server(name: str) -> Iterator[Any]:
    import servers

    with tempfile.TemporaryDirectory(prefix="hwnas-benchmark-") as folder:
        try:
            server = getattr(servers, name)(Path(folder))
        except pytest.skip.Exception as reason:
            print(f"left out: {reason}")
            yield None
            return
        try:
            yield server
        finally:
            server.kill()


if __name__ == "__main__":
    main(
        "jobs",
        {"overhead": overheads, "processes": processes, "handshake": handshakes, "races": races},
    )
