"""The measurement queue: workers as processes of their own, killed, paused, racing."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from processes import wait_for
from stores import s3_bucket, s3_server
from torch import nn

from hwnas import LocalDevice
from hwnas.device import Measurement, SimulatedDevice, Timing, export_onnx
from hwnas.errors import DeviceError, ModelFault, StoreError, UsageError
from hwnas.jobs import DeviceEvaluator, QueueDevice, QueueWorker, Store
from hwnas.jobs._folder.life import LifeCycle
from hwnas.jobs._queue import crew
from hwnas.jobs._queue.asked import ask_for
from hwnas.jobs._queue.calibration import (
    SHAPE,
    disagreements,
    known_calibrations,
    write_network,
)
from hwnas.jobs._queue.envelopes import Answer
from hwnas.jobs._queue.queue import MeasurementQueue
from hwnas.jobs._store import lease
from hwnas.jobs._store.lease import Claims, Pulse
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
        *options: str,
        evaluator: str = "Counting",
        seconds: float = 0,
        url: str = "",
        wait: bool = True,
        **env: str,
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
                **env,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        if wait:
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
    serving = QueueWorker(store, "pixel", DeviceEvaluator(local), idle=0.1)
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
    count = 200  # benchmarks/jobs.py has 1,000
    for _ in range(2):
        worker("--idle", "3")
    queue = device(tmp_path)
    waiting = []
    for trial in range(count):
        queue.trial = trial
        waiting.append(queue._post(model, (INPUT,), None))
    answers = queue._wait(waiting)
    assert {one.status for one in answers.values()} == {"ok"}
    counts = Counter(line.split()[0] for line in evaluated(tmp_path))
    assert counts == Counter(map(str, range(count)))
    assert len({line.split()[1] for line in evaluated(tmp_path)}) == 2


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


class Recorder(SimulatedDevice):
    """Remembers what it was asked for."""

    def measure_each(self, models, inputs, *, timing=None, parts=False):  # type: ignore[no-untyped-def]
        self.asked = timing, parts, [tuple(x.shape for x in one) for one in inputs]
        return super().measure_each(models, inputs, timing=timing, parts=parts)


def test_all_that_a_measurement_was_asked_with_gets_to_the_device(tmp_path, model) -> None:
    there = Recorder("there", lambda model, inputs: 1.5)
    serving = QueueWorker(Store(tmp_path / "job"), "pixel", DeviceEvaluator(there), idle=0)
    asking = device(tmp_path, expected=True, timing=Timing(processes=2))
    eight = torch.zeros(8, 4)
    for timing, parts in ((None, False), (Timing(rounds=(3, 5)), False), (None, True)):
        asking._post(model, (eight,), timing or asking.timing, parts)
        assert serving.run() == 1
        assert there.asked == (timing or asking.timing, parts, [((8, 4),)])
        (found,) = asking.measure_each([model], eight, timing=timing, parts=parts)
        assert isinstance(found, Measurement)
        assert found.environment.batch_size == 8


def test_a_worker_for_another_batch_size_says_so(tmp_path, model) -> None:
    asking = device(tmp_path)
    work = asking._post(model, (torch.zeros(8, 4),), None)
    one = DeviceEvaluator(LocalDevice())
    QueueWorker(Store(tmp_path / "job"), "pixel", one, idle=0, inside=True).run()
    found = asking._wait([work])[work].error
    assert "shape (8, 4), but device 'local' measures batches of 1" in str(found)


def test_what_failed_is_asked_anew(tmp_path, model) -> None:
    asking, queue = device(tmp_path), MeasurementQueue(Store(tmp_path / "job"), "pixel")
    names = []
    for status in ("failed", "failed", "ok"):
        names.append(asking._post(model, (INPUT,), None))
        assert Claims(queue.store, "one").take(names[-1])
        metrics = {"latency": 1.0} if status == "ok" else {}
        told = Answer(id=names[-1], generation=1, worker="one", status=status, metrics=metrics)
        assert queue.answer(told)
    assert len(set(names)) == 3
    assert asking.measure([model], INPUT)[0].median == 1.0


def test_models_come_as_a_list(tmp_path: Path, model: Path) -> None:
    with pytest.raises(DeviceError, match="a list of models"):
        device(tmp_path).measure_each(model, INPUT)  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="1 tuples of inputs for 2 models"):
        device(tmp_path).measure_each([model, model], [(INPUT,)])


def test_dead_workers_are_noticed(tmp_path, model, worker) -> None:
    worker(seconds=60).kill()
    with pytest.raises(DeviceError, match="none of its 1 workers lives"):
        device(tmp_path, patience=0.5).measure([model], INPUT)


def test_a_store_that_was_away_makes_no_worker_dead(tmp_path, monkeypatch) -> None:
    queue, now = MeasurementQueue(Store(tmp_path), "pixel"), [0.0]
    queue.store.put("workers/one", b"1")
    monkeypatch.setattr(crew.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(lease.time, "monotonic", lambda: now[0])
    watching = crew.Crew(queue, 90.0)
    for now[0] in (0, 100, 150, 190):  # every look may have waited for the store
        watching.check()
    for second in range(191, 280):
        now[0] = second
        watching.check()
    now[0] = 281
    with pytest.raises(DeviceError, match="none of its 1 workers lives"):
        watching.check()


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
        assert text.startswith("device 'pixel': model 1 of 1 (net.onnx): worker ")


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


def refused(tmp_path: Path, *options: str) -> str:
    """What a further worker says that may not serve."""
    command = f"worker --job {tmp_path / 'job'} --device pixel --lease 1.5"
    file = f"{Path(__file__).with_name('evaluators.py')}:Counting"
    again = subprocess.run(
        [HWNAS, *command.split(), "--evaluator", file, *options],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert again.returncode in (1, 2)
    assert "Traceback" not in again.stderr
    return again.stderr


def test_two_workers_of_one_name_or_of_one_part(tmp_path, worker) -> None:
    worker("--name", "one", "--worker-id", "1", "--num-workers", "3")
    assert "a worker 'one' serves 'pixel' already" in refused(tmp_path, "--name", "one")
    part = ("--worker-id", "1", "--num-workers")
    assert "worker 'one' serves part 1 of 3 of 'pixel' already" in refused(tmp_path, *part, "3")
    assert "'one' divides the trials of 'pixel' by 3" in refused(tmp_path, *part, "2")
    assert "the number must be 0 to 0" in refused(tmp_path, *part, "1")


def test_workers_that_take_one_name_at_the_same_time_notice(tmp_path: Path) -> None:
    queue = MeasurementQueue(Store(tmp_path), "pixel").store
    first, second = (Pulse(queue, "workers/one", 0.1) for _ in range(2))
    wait_for(lambda: first.contested or second.contested)
    for one in (first, second):
        one.stop(remove=not one.contested)


def test_a_worker_that_was_killed_leaves_its_name(tmp_path, model, worker) -> None:
    part = ("--name", "one", "--worker-id", "0", "--num-workers", "1")
    killed = worker(*part)
    killed.kill()
    killed.wait()
    worker(*part, wait=False)
    assert device(tmp_path).measure([model], INPUT)


def test_a_worker_for_a_device_that_the_job_does_not_ask_for(tmp_path: Path) -> None:
    ask_for(Store(tmp_path / "job"), ["coral", "jetson"])
    assert "asks for no device 'pixel'; it asks for: coral, jetson" in refused(tmp_path)


def end(job: Path) -> LifeCycle:
    """Have a job run and end."""
    life = LifeCycle(Store(job))
    for state in ("running", "done"):
        life.turn(state)  # type: ignore[arg-type]
    return life


def test_a_worker_serves_several_jobs_until_all_have_ended(tmp_path, model, worker) -> None:
    process = worker("--job", str(tmp_path / "other"))
    other = QueueDevice(Store(tmp_path / "other"), "pixel", trial=2)
    for _ in range(2):
        assert device(tmp_path, trial=1).measure([model], INPUT)
        end(tmp_path / "job")
        assert other.measure([model], INPUT)
    assert sorted(line.split()[0] for line in evaluated(tmp_path)) == ["1", "2"]
    assert process.poll() is None
    end(tmp_path / "other")
    assert "the jobs have ended" in process.communicate(timeout=30)[0]


def test_the_calibration_network_is_the_same_everywhere(tmp_path: Path) -> None:
    first, second = tmp_path / "a.onnx", tmp_path / "b.onnx"
    write_network(first)
    write_network(second)
    assert first.read_bytes() == second.read_bytes()
    session = onnxruntime.InferenceSession(str(first), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"x": np.ones(SHAPE, np.float32)})
    assert output.shape == (1, 32, 1, 1)
    assert 0 < np.abs(output).max() < 100


def test_a_worker_that_deviates_from_the_others_says_so(tmp_path, model, worker) -> None:
    worker("--name", "one", CALIBRATION="1.0").kill()
    worker("--name", "two", CALIBRATION="1.04").kill()
    slow = worker("--name", "slow", CALIBRATION="1.5")
    asking = device(tmp_path)
    work = asking._post(model, (INPUT,), None)
    environment = asking._wait([work])[work].environment
    assert environment == {"calibration_ms": 1.5, "deviation": pytest.approx(1.5 / 1.02 - 1)}
    slow.send_signal(signal.SIGTERM)
    said, _ = slow.communicate(timeout=30)
    assert "the calibration network takes 47% more here than on the other workers" in said
    known = known_calibrations(MeasurementQueue(Store(tmp_path / "job"), "pixel").store)
    (line,) = disagreements(known)
    assert line == "worker slow measures 44% more than most"


def test_a_worker_that_deviates_may_be_refused(tmp_path, worker, monkeypatch) -> None:
    worker("--name", "one", CALIBRATION="1.0")
    monkeypatch.setenv("EVALUATED", str(tmp_path / "evaluated"))
    monkeypatch.setenv("CALIBRATION", "0.7")
    assert "takes 30% less here" in refused(tmp_path, "--max-deviation", "0.2")


@given(st.dictionaries(st.text("abc", min_size=1), st.floats(0.01, 1e3), max_size=8))
def test_who_disagrees(known: dict[str, float]) -> None:
    lines = disagreements(known)
    assert len(lines) <= len(known)
    if known and max(known.values()) <= 1.1 * min(known.values()):
        assert not lines
    if 0 < len(known) <= 2 and max(known.values()) > 1.11 * min(known.values()):
        assert len(lines) == 1
    assert not disagreements(dict.fromkeys(known, 1.0))


def test_workers_on_one_host_agree_whichever_was_first(tmp_path: Path) -> None:
    store = Store(tmp_path / "job")
    for name in ("one", "two"):
        evaluator = DeviceEvaluator(LocalDevice(timing=Timing(time_cap=0.2)))
        QueueWorker(store, "pixel", evaluator, name=name, idle=0).run()
    known = known_calibrations(store.within("queue/pixel"))
    assert known.keys() == {"one", "two"}
    assert max(known.values()) < 2 * min(known.values())  # of a host that others use, too
    assert float(store.get("queue/pixel/reference") or 0) > 0


def test_a_worker_ends_with_its_job_and_when_idle(tmp_path, worker) -> None:
    ending = worker()
    life = end(tmp_path / "job")
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


def test_a_whole_file_that_is_no_model(tmp_path: Path, model: Path) -> None:
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"\x08\x07not a network" * 100)
    store = Store(tmp_path / "job")
    asking = device(tmp_path)
    works = [asking._post(one, (INPUT,), None) for one in (garbage, model)]
    quick = DeviceEvaluator(LocalDevice(timing=Timing(time_cap=0.05)))
    assert QueueWorker(store, "pixel", quick, idle=0, inside=True).run() == 2
    bad, good = asking._wait(works).values()
    assert (bad.status, good.status) == ("failed", "ok")
    assert bad.error is not None
    assert "\n" not in bad.error


def test_clocks_that_differ_by_an_hour(tmp_path, model, worker) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import datetime, time\n"
        "told, kind = time.time, datetime.datetime\n"
        "time.time = lambda: told() - 3600\n"
        "class Late(kind):\n"
        "    @classmethod\n"
        "    def now(cls, tz=None):\n"
        "        return kind.now(tz) - datetime.timedelta(hours=1)\n"
        "datetime.datetime = Late\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    late = worker(seconds=0.5, PYTHONPATH=path)
    other = worker(seconds=0.5)
    queue = device(tmp_path)
    works = []
    for trial in range(6):
        queue.trial = trial
        works.append(queue._post(model, (INPUT,), None))
    answers = queue._wait(works)
    # Nobody takes over from the one whose clock is behind, and nobody waits for it.
    assert {one.generation for one in answers.values()} == {1}
    assert len(evaluated(tmp_path)) == len(works)
    assert len({one.worker for one in answers.values()}) == 2
    hours = sorted(one.created[11:13] for one in answers.values())
    assert hours[0] != hours[-1]
    assert late.poll() is other.poll() is None


def test_a_late_result_of_a_trial_that_has_ended_changes_nothing(tmp_path, model) -> None:
    queue = MeasurementQueue(Store(tmp_path / "job"), "pixel")
    asking = device(tmp_path)
    work = asking._post(model, (INPUT,), None)
    assert Claims(queue.store, "slow").take(work)
    told = Answer(id=work, generation=1, worker="slow", status="ok", metrics={"latency": 2.0})
    assert queue.answer(told)
    (before,) = asking.measure([model], INPUT)
    assert not queue.answer(told.model_copy(update={"metrics": {"latency": 9.0}}))
    stray = Answer(id="000009-none", generation=1, worker="x", status="ok", metrics={"latency": 9})
    assert queue.answer(stray)
    assert asking.measure([model], INPUT)[0].median == before.median == 2.0
    assert queue.open_requests() == []


def test_waiting_ends_when_the_device_is_closed(tmp_path, model, worker) -> None:
    worker(seconds=60)
    asking = device(tmp_path)
    threading.Timer(0.5, asking.close).start()
    with pytest.raises(DeviceError, match="was closed"):
        asking.measure([model], INPUT)


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
