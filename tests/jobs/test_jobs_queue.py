"""The measurement queue: workers as processes of their own, killed, paused, racing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from processes import wait_for
from stores import s3_bucket, s3_server
from torch import nn

from hwnas import LocalDevice
from hwnas.device import Measurement, Timing, export_onnx
from hwnas.errors import DeviceError, ModelFault, StoreError, UsageError
from hwnas.jobs import DeviceEvaluator, QueueDevice, QueueWorker, Store
from hwnas.jobs._life import LifeCycle
from hwnas.jobs._queue.envelopes import Answer
from hwnas.jobs._queue.queue import MeasurementQueue
from hwnas.jobs._store.lease import Claims
from support import HWNAS

INPUT = torch.zeros(1, 4)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_onnx(nn.Linear(4, 2), (INPUT,), tmp_path_factory.mktemp("model") / "net.onnx")


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `hwnas worker` on the store in `tmp_path / "job"`, and waits until it is there."""
    running = []

    def start(
        *options: str, evaluator: str = "Counting", seconds: float = 0, url: str = ""
    ) -> subprocess.Popen[str]:
        store = Store(url or str(tmp_path / "job"))
        before = store.names("queue/pixel/workers")
        file = Path(__file__).with_name("evaluators.py")
        command = [HWNAS, "worker", "--job", store.url, "--device", "pixel", "--lease", "1.5"]
        process = subprocess.Popen(
            [*command, "--evaluator", f"{file}:{evaluator}", *options],
            env={
                **os.environ,
                "EVALUATED": str(tmp_path / "evaluated"),
                "EVALUATION_SECONDS": str(seconds),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        wait_for(lambda: store.names("queue/pixel/workers") != before, process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def device(tmp_path: Path, **options: object) -> QueueDevice:
    return QueueDevice(Store(tmp_path / "job"), "pixel", poll=0.02, **options)  # type: ignore[arg-type]


def evaluated(tmp_path: Path) -> list[str]:
    file = tmp_path / "evaluated"
    return file.read_text().splitlines() if file.exists() else []


def test_a_model_is_measured_where_the_worker_is(tmp_path: Path, model: Path) -> None:
    store = Store(tmp_path / "job")
    local = LocalDevice()
    serving = QueueWorker(store, "pixel", DeviceEvaluator(local), idle=0.1, poll=0.02)
    # It is asked for before there is a worker, and then measured.
    with pytest.raises(DeviceError, match=r"no worker serves it; start one .*hwnas worker"):
        device(tmp_path).measure([model], INPUT)
    assert serving.run() == 1
    (found,) = device(tmp_path).measure([model], INPUT)
    assert found.device == "pixel"
    assert found.metric == "latency"
    assert 0 < found.low <= found.median <= found.high
    assert found.environment.runtime == "onnxruntime"
    assert found.canary is not None
    assert found.canary.reference == local.reference


def test_an_answer_is_taken_again_after_a_crash(tmp_path: Path, model: Path, worker) -> None:
    worker()
    first = device(tmp_path, trial=5).measure([model], INPUT)
    again = device(tmp_path, trial=5).measure([model], INPUT)
    other = device(tmp_path, trial=5, timing=Timing(processes=3)).measure([model], INPUT)
    assert first[0].median == again[0].median == other[0].median == model.stat().st_size
    assert [line.split()[0] for line in evaluated(tmp_path)] == ["5", "5"]


def test_each_request_is_measured_once_by_racing_workers(tmp_path, model, worker) -> None:
    for _ in range(3):
        worker("--idle", "3")
    queue = device(tmp_path)
    waiting = []
    for trial in range(40):
        queue.trial = trial
        waiting.append(queue._post(model, (INPUT,), None))
    answers = queue._wait(waiting)
    assert {one.status for one in answers.values()} == {"ok"}
    counts = Counter(line.split()[0] for line in evaluated(tmp_path))
    assert counts == Counter(map(str, range(40)))
    assert len({line.split()[1] for line in evaluated(tmp_path)}) > 1


def test_the_work_of_a_killed_worker_is_taken_over(tmp_path, model, worker) -> None:
    dying = worker(seconds=60)
    store = Store(tmp_path / "job")
    queue = device(tmp_path)
    work = queue._post(model, (INPUT,), None)
    wait_for(lambda: store.names("queue/pixel/claims"), dying)
    dying.kill()
    worker()
    answer = queue._wait([work])[work]
    assert answer.status == "ok"
    assert answer.generation == 2


def test_a_paused_worker_does_not_overwrite_its_successor(tmp_path, model, worker) -> None:
    paused = worker(seconds=1)
    store = Store(tmp_path / "job")
    queue = device(tmp_path)
    work = queue._post(model, (INPUT,), None)
    wait_for(lambda: store.names("queue/pixel/claims"), paused)
    paused.send_signal(signal.SIGSTOP)
    worker()
    answer = queue._wait([work])[work]
    results = store.names("queue/pixel/results")
    paused.send_signal(signal.SIGCONT)
    wait_for(lambda: len(evaluated(tmp_path)) == 2)  # it had gone on and evaluated
    paused.send_signal(signal.SIGTERM)
    output, _ = paused.communicate(timeout=30)
    assert "another worker has taken over" in output
    assert store.names("queue/pixel/results") == results == [f"queue/pixel/results/{work}/2"]
    assert queue._queue.answer_to(work) == answer
    assert answer.generation == 2


def test_a_signal_ends_a_worker_after_the_model_in_hand(tmp_path, model, worker) -> None:
    process = worker(seconds=0.7)
    queue = device(tmp_path)
    work = queue._post(model, (INPUT,), None)
    wait_for(lambda: Store(tmp_path / "job").names("queue/pixel/claims"), process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "1 model measured" in output
    assert queue._wait([work])[work].status == "ok"
    with pytest.raises(DeviceError, match="no worker serves it"):
        device(tmp_path, trial=1).measure([model], INPUT)


def test_models_come_as_a_list(tmp_path: Path, model: Path) -> None:
    with pytest.raises(DeviceError, match="a list of models"):
        device(tmp_path).measure_each(model, INPUT)  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="1 tuples of inputs for 2 models"):
        device(tmp_path).measure_each([model, model], [(INPUT,)])


def test_dead_workers_are_noticed(tmp_path, model, worker) -> None:
    worker(seconds=60).kill()
    with pytest.raises(DeviceError, match="none of its 1 workers lives"):
        device(tmp_path, patience=0.5).measure([model], INPUT)


def test_time_counts_from_the_claim(tmp_path, model, worker) -> None:
    process = worker(seconds=2)
    asking = device(tmp_path, time_limit=0.5)
    (found,) = asking.measure_each([model], INPUT)
    assert isinstance(found, ModelFault)
    assert found.kind == "timeout"
    # What the worker tells later does not count.
    wait_for(lambda: evaluated(tmp_path), process)
    (again,) = asking.measure_each([model], INPUT)
    assert isinstance(again, ModelFault)


def test_what_an_evaluator_may_do(tmp_path, model, worker) -> None:
    worker(evaluator="Failing")
    asking, texts = device(tmp_path), []
    for trial in range(6):
        asking.trial = trial
        (found,) = asking.measure_each([model], INPUT)
        texts.append(str(found.median) if isinstance(found, Measurement) else str(found))
    assert texts[0] == texts[5] == "1.5"
    for text, part in zip(
        texts[1:5], ("on fire", "Einsum", "latency = nan", "'fast'"), strict=True
    ):
        assert part in text
        assert text.startswith("device 'pixel': worker ")


def test_workers_divide_trials(tmp_path, model, worker) -> None:
    first = worker("--worker-id", "0", "--num-workers", "2")
    second = worker("--worker-id", "1", "--num-workers", "2")
    asking = device(tmp_path)
    for trial in range(6):
        asking.trial = trial
        asking.measure([model], INPUT)
    pids = [line.split()[1] for line in sorted(evaluated(tmp_path))]
    assert pids == [str(first.pid), str(second.pid)] * 3


@pytest.mark.parametrize("part", [(2, 2), (-1, 2), (0, 0)])
def test_parts_that_there_are_not(tmp_path: Path, part: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="worker"):
        QueueWorker(Store(tmp_path), "pixel", DeviceEvaluator(LocalDevice()), part=part)


def test_two_workers_of_one_name(tmp_path, worker) -> None:
    worker("--name", "one")
    command = f"worker --job {tmp_path / 'job'} --device pixel --name one --lease 1.5"
    again = subprocess.run(
        [HWNAS, *command.split()],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert again.returncode in (1, 2)
    assert "a worker 'one' serves 'pixel' already" in again.stderr
    assert "Traceback" not in again.stderr


def test_a_worker_ends_with_its_job_and_when_idle(tmp_path, worker) -> None:
    ending = worker()
    life = LifeCycle(Store(tmp_path / "job"))
    for state in ("running", "done"):
        life.turn(state)
    assert "the job has ended" in ending.communicate(timeout=30)[0]
    life.turn("running")
    assert "nothing to do" in worker("--idle", "0.3").communicate(timeout=30)[0]


def test_damaged_files_are_told_and_the_worker_goes_on(tmp_path, model, worker) -> None:
    worker()
    queue = MeasurementQueue(Store(tmp_path / "job"), "pixel")
    asking = device(tmp_path)
    kept = queue.keep(model)
    queue.store.put(kept.object, b"something else")
    (found,) = asking.measure_each([model], INPUT)
    assert "is damaged" in str(found)
    queue.store.put(kept.object, model)
    asking.trial = 1
    assert asking.measure([model], INPUT)


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.",
        b'{"id": "../../x", "model": {"size": 1, "sha256": "../../../etc/passwd"}}',
        b'{"schema_version": 2, "id": "a"}',
        b"not json",
    ],
)
def test_hostile_requests_do_nothing(tmp_path: Path, hostile: bytes) -> None:
    queue = MeasurementQueue(Store(tmp_path / "job"), "pixel")
    queue.store.put("requests/evil", hostile)
    with pytest.raises(StoreError, match="is damaged"):
        queue.request("evil")
    assert not (tmp_path / "pwned").exists()


def test_a_hostile_request_does_not_stop_a_worker(tmp_path, model, worker) -> None:
    MeasurementQueue(Store(tmp_path / "job"), "pixel").store.put("requests/0-evil", b"\x80")
    worker()
    assert device(tmp_path, trial=1).measure([model], INPUT)


def test_a_name_that_would_lead_out(tmp_path: Path) -> None:
    for name in ("../x", "a/b", "", ".hidden"):
        with pytest.raises(UsageError, match="device"):
            MeasurementQueue(Store(tmp_path), name)


def test_a_generation_that_is_taken_over_cannot_answer_for_its_successor(tmp_path: Path) -> None:
    queue = MeasurementQueue(Store(tmp_path), "pixel")
    old = Claims(queue.store, "old", seconds=0.2)
    new = Claims(queue.store, "new", seconds=0.2)
    first = old.take("work")
    assert first is not None
    assert new.take("work") is None
    first.stop()
    time.sleep(0.3)
    second = new.take("work")
    assert second is not None
    assert not first.held()
    assert second.held()
    late = Answer(id="work", generation=1, worker="old", status="ok", metrics={"latency": 1})
    assert queue.answer(late)
    assert queue.answer_to("work") is None
    counted = Answer(id="work", generation=2, worker="new", status="ok", metrics={"latency": 2})
    assert queue.answer(counted)
    assert not queue.answer(counted)
    assert queue.answer_to("work") == counted
    second.stop()


def test_a_worker_reaches_a_store_in_a_cloud_and_tells_no_secret(tmp_path, model, worker) -> None:
    with s3_server():
        url = s3_bucket()
        process = worker("--idle", "60", url=url)
        asking = QueueDevice(Store(url), "pixel", poll=0.05)
        assert asking.measure([model], INPUT)[0].median == model.stat().st_size
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
        assert "a-secret" not in output
        assert "a-secret" not in " ".join(process.args)  # type: ignore[arg-type]
