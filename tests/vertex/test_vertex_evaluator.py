"""Latency calculators: each model measured once, failures told at once, nobody's death noticed."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import DeviceError, JobError, UsageError
from hwnas.jobs import JobView, Store
from hwnas.vertex import JobIndex, LocalProgram, run_vertex_search, run_vertex_train
from hwnas.vertex._board import Board
from hwnas.vertex.model_metrics_evaluator import ModelMetricsEvaluator, checked_metrics

HERE = Path(__file__).parent
PROTOCOL = LocalProgram(str(HERE / "trainer.py"))
HELPERS = LocalProgram(str(HERE / "asking_trainer.py"))


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)


@contextmanager
def calculator(job: Path | str, *flags: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "calculator.py"), f"--nas_job_id={job}", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def search(folder: Path, program: LocalProgram = PROTOCOL, **options: Any) -> JobView:
    limits = {"trials": 1, "parallel": 2, "max_failed": 9, "trial_timeout": 60.0}
    return run_vertex_search(
        program, "spaces.layers", folder, metric="nas_reward", **{**limits, **options}
    )


class Searching:
    """A search in a thread of its own, so that a test can meddle."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self._view: JobView | None = None
        self._thread = threading.Thread(target=self._run, args=[folder], kwargs=options)
        self._thread.start()

    def _run(self, folder: Path, **options: Any) -> None:
        self._view = search(folder, **options)

    def view(self) -> JobView:
        self._thread.join(timeout=120)
        assert self._view is not None
        return self._view


def measured(job: Path) -> list[tuple[int, int, int]]:
    """(trial, worker id, process) of each measurement that was begun."""
    file = job / "measured.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(a), int(b), int(c)) for a, b, c in (line.split() for line in lines)]


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def reason(view: JobView) -> str:
    (trial,) = view.trials
    assert trial.failure is not None
    return trial.failure.reason


@pytest.mark.parametrize("model", ["saved_model", "model"])
def test_a_trainer_with_helpers_of_its_own(tmp_path: Path, model: str) -> None:
    """It says nothing to anybody: the model that lies there is measured, and answered beside."""
    job = tmp_path / "job"
    with calculator(job) as one, calculator(job) as two:
        view = search(job, trials=4, flags={"latency": model})
        assert [t.metrics["latency"] for t in view.trials] == [5.5] * 4
        assert "ended well" in one.communicate(timeout=30)[0]
        assert "ended well" in two.communicate(timeout=30)[0]
    assert sorted(trial for trial, *_ in measured(job)) == [1, 2, 3, 4]


@pytest.mark.parametrize("model", ["model", "exports/best"])
def test_a_trainer_with_our_helpers(tmp_path: Path, model: str) -> None:
    """The model may lie anywhere in the trial's folder."""
    job = tmp_path / "job"
    with calculator(job):
        view = search(job, HELPERS, trials=2, flags={"model": model})
        full = run_vertex_train(
            HELPERS, job, [2], tmp_path / "full", metric="nas_reward", flags={"timeout": "0.5"}
        )
    for trial in view.trials:
        latency = trial.metrics["filters"] + 0.5
        assert trial.metrics["latency"] == latency
        assert trial.reward == pytest.approx(0.9 * min(1, 10 / latency))
        folder = job / "nas/search" / str(trial.number + 1)
        assert (folder / model / "model_latency.json").exists()
        assert (folder / "serialized_tunable_object.json").exists()
    assert "no latency calculator has shown up in 0.5 s" in reason(full)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("fails", "RuntimeError: no kernel for this operator"),
        ("infeasible", "out of memory"),
        ("nan", "latency_in_milliseconds = nan"),
    ],
)
def test_a_trial_is_told_of_a_failure_at_once(tmp_path: Path, how: str, told: str) -> None:
    for program, flags in ((PROTOCOL, {"latency": "saved_model"}), (HELPERS, {})):
        job = tmp_path / Path(program.binary).stem
        with calculator(job, f"--how={how}"):
            view = search(job, program, flags=flags)
        assert "the latency calculator failed" in reason(view)
        assert told in reason(view)
        assert (view.trials[0].failure.kind == "infeasible") == (how == "infeasible")
        assert len(measured(job)) == (1 if how == "infeasible" else 2)


def test_a_dead_calculators_trial_is_taken_over(tmp_path: Path) -> None:
    job = tmp_path / "job"
    running = Searching(job, flags={"latency": "saved_model"})
    with calculator(job, "--how=hangs", "--lease=2") as first:
        wait_for(lambda: measured(job))
        first.kill()
        with calculator(job, "--lease=2") as second:
            view = running.view()
            assert view.trials[0].metrics["latency"] == 5.5
            assert [process for *_, process in measured(job)] == [first.pid, second.pid]


def test_who_was_paused_past_its_lease_overwrites_nothing(tmp_path: Path) -> None:
    job = tmp_path / "job"
    running = Searching(job, flags={"latency": "saved_model"})
    with calculator(job, "--how=slow", "--lease=2") as first:
        wait_for(lambda: measured(job))
        first.send_signal(signal.SIGSTOP)
        with calculator(job, "--lease=2") as second:
            view = running.view()
        answer = (job / "nas/search/1/saved_model/model_latency.json").stat()
        first.send_signal(signal.SIGCONT)
        assert "does not count" in first.communicate(timeout=30)[0]
        assert second.returncode is not None
    assert (job / "nas/search/1/saved_model/model_latency.json").stat() == answer
    assert view.trials[0].state == "complete"


def test_parts_divide_the_trials(tmp_path: Path) -> None:
    """Trial n is of worker n % 2; what the dead one of the two leaves, the other takes over."""
    job = tmp_path / "job"
    flags = ("--num_latency_workers=2", "--lease=2")
    running = Searching(job, trials=5, parallel=5, flags={"latency": "saved_model"})
    with calculator(job, *flags, "--latency_worker_id=0"):
        wait_for(lambda: len(measured(job)) == 2)
        time.sleep(1)
        assert sorted(measured(job))[0][:2] == (2, 0)
        assert sorted(measured(job))[1][:2] == (4, 0)
        with calculator(job, *flags, "--latency_worker_id=1", "--how=hangs") as other:
            wait_for(lambda: len(measured(job)) == 3)
            other.kill()
            assert all(t.state == "complete" for t in running.view().trials)
    begun = measured(job)
    assert begun[2][:2] in ((1, 1), (3, 1), (5, 1))
    assert sorted(trial for trial, worker, _ in begun if worker == 0) == [1, 2, 3, 4, 5]


def test_a_calculator_ends_on_a_signal_after_the_model_in_hand(tmp_path: Path) -> None:
    job = tmp_path / "job"
    running = Searching(job, trials=2, flags={"latency": "saved_model"})
    with calculator(job, "--how=slow") as first:
        wait_for(lambda: measured(job))
        first.send_signal(signal.SIGTERM)
        assert "ended well" in first.communicate(timeout=30)[0]
    with calculator(job):
        assert [t.state for t in running.view().trials] == ["complete"] * 2
    assert sorted(trial for trial, *_ in measured(job)) == [1, 2]


def test_a_calculator_ends_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    with calculator(tmp_path / "job", "--idle=1") as process:
        assert "ended well" in process.communicate(timeout=60)[0]


def test_dead_calculators_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas.errors import TrialError
    from hwnas.vertex import _waiting, cloud_nas_utils

    monkeypatch.setattr(_waiting, "_SILENCE", 1.0)
    Board.at(str(tmp_path), "search").begin(3, "{}")
    Store(tmp_path).put("latency/search/workers/0/gone", b"1")
    model = tmp_path / "nas/search/3/saved_model"
    monkeypatch.setenv("AIP_MODEL_DIR", str(model.parent))
    with pytest.raises(TrialError, match="are gone"):
        cloud_nas_utils.wait_and_retrieve_latency(str(model))
    with pytest.raises(TrialError, match="not in the trial's folder"):
        cloud_nas_utils.wait_and_retrieve_latency(str(tmp_path / "elsewhere"))


class Idle(ModelMetricsEvaluator):
    """Is never asked."""

    def evaluate_saved_model(self, trial_id: int, saved_model_path: str) -> dict[str, Any]:
        return {}


def test_jobs_are_found_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = JobIndex(str(tmp_path))
    job = index.create("search", "mnist")
    full = index.create("train", "mnist_full", parent=job.id)
    monkeypatch.setenv("HWNAS_STORE", str(tmp_path))
    one = Idle("endpoint", "project", f"projects/p/nasJobs/{job.id}", 1, 3)
    assert one.job_output_dir == f"{tmp_path}/{job.folder}/nas/search"
    assert (one.service_endpoint, one.project_id) == ("endpoint", "project")
    assert (one.latency_worker_id, one.num_latency_workers) == (1, 3)
    other = Idle("", "", str(full.id))
    assert other.job_output_dir == f"{tmp_path}/{full.folder}/nas/train"
    with pytest.raises(JobError, match="no NAS job 9"):
        Idle("", "", "9")
    with pytest.raises(UsageError, match="must be 0 to 1"):
        Idle("", "", "1", latency_worker_id=5, num_latency_workers=2)


def test_models_in_a_store_elsewhere_are_brought_here() -> None:
    """As a file that `convert` turns into another, measured, and gone afterwards."""
    store = Store("memory://")
    board = Board(store, "search")
    board.begin(1, "{}")
    store.put("nas/search/1/exports/model.onnx", b"12345")
    board.request(1, "exports/model.onnx", "exports")
    seen: list[str] = []

    class Converting(ModelMetricsEvaluator):
        def __init__(self) -> None:
            self._board, self._ended = board, threading.Event()
            self.latency_worker_id, self.num_latency_workers = 0, 1

        def convert(self, trial_id: int, saved_model_path: str) -> str:
            target = f"{saved_model_path}.engine"
            Path(target).write_bytes(Path(saved_model_path).read_bytes() * 2)
            return target

        def evaluate_saved_model(self, trial_id: int, saved_model_path: str) -> dict[str, Any]:
            seen.append(saved_model_path)
            return {"latency_in_milliseconds": Path(saved_model_path).stat().st_size, "accuracy": 1}

    Converting().run_continuous_evaluation_loop(poll=0.05, idle=0.3)
    told = store.read("nas/search/1/exports/model_latency.json", dict[str, Any])
    assert told == {"latency_in_milliseconds": 10, "accuracy": 1}
    assert len(seen) == 1
    assert not Path(seen[0]).exists()


class Counting(ModelMetricsEvaluator):
    """Measures what lies on a board, and counts."""

    def __init__(self, board: Board) -> None:
        self._board, self._ended = board, threading.Event()
        self.latency_worker_id, self.num_latency_workers = 0, 1
        self.seen: list[int] = []

    def evaluate_saved_model(self, trial_id: int, saved_model_path: str) -> dict[str, Any]:
        self.seen.append(trial_id)
        return {"latency_in_milliseconds": len(self.seen)}


def test_many_calculators_measure_each_model_once(tmp_path: Path) -> None:
    board = Board(Store(tmp_path), "search")
    for trial in range(1, 41):
        board.begin(trial, "{}")
        board.request(trial, "model", "model")
    some = [Counting(board) for _ in range(4)]
    threads = [
        threading.Thread(target=one.run_continuous_evaluation_loop, kwargs={"idle": 1.0})
        for one in some
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(trial for one in some for trial in one.seen) == list(range(1, 41))
    assert not list(board.waiting())


def test_what_is_asked_for_again_is_measured_again() -> None:
    board = Board(Store("memory://"), "search")
    board.begin(1, "{}")
    board.trials.put("1/saved_model/saved_model.pb", b"model")
    one = Counting(board)
    one.run_continuous_evaluation_loop(poll=0.05, idle=2.0)
    assert one.seen == [1]  # found by itself
    board.request(1, "saved_model", "saved_model")
    assert not list(board.waiting())  # and what was found counts
    board.request(1, "saved_model", "saved_model")
    one.run_continuous_evaluation_loop(poll=0.05, idle=0.5)
    assert one.seen == [1, 1]
    board.request(1, "other", "other")
    board.begin(1, "{}")  # a new attempt: what the last one was told is gone
    (waiting,) = board.waiting()
    assert (waiting.model, waiting.requested) == ("saved_model", False)


def test_models_at_urls_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas.errors import TrialError
    from hwnas.vertex import wait_and_retrieve_latency

    board = Board(Store(tmp_path), "train")
    board.begin(1, "{}")
    url = f"file://{tmp_path}/nas/train/1"
    monkeypatch.setenv("AIP_MODEL_DIR", url)
    board.trials.put("1/best/model.onnx", b"model")
    one = Counting(board)
    thread = threading.Thread(target=one.run_continuous_evaluation_loop, kwargs={"idle": 3.0})
    thread.start()
    assert wait_and_retrieve_latency(f"{url}/best/model.onnx")["latency_in_milliseconds"] == 1
    thread.join()
    with pytest.raises(TrialError, match="not in the trial's folder"):
        wait_and_retrieve_latency(f"file://{tmp_path}/nas/train/2/best")


@pytest.mark.parametrize("model", ["../2/saved_model", "/etc", "a/../../x", "a b"])
def test_hostile_requests_lead_nowhere(model: str) -> None:
    board = Board(Store("memory://"), "search")
    board.begin(1, "{}")
    board.trials.put(
        "1/latency_request.json",
        b'{"schema_version": 1, "model": "%s", "folder": "%s"}' % ((model.encode(),) * 2),
    )
    board.begin(2, "{}")
    board.request(2, "saved_model", "saved_model")
    assert [one.trial for one in board.waiting()] == [2]
    board.trials.put("1/latency_request.json", b"{")
    assert [one.trial for one in board.waiting()] == [2]


NUMBERS = st.one_of(st.integers(), st.floats(), st.booleans(), st.text(), st.none())


@given(st.dictionaries(st.sampled_from(["latency_in_milliseconds", "model_memory", "x"]), NUMBERS))
def test_metrics_are_checked(found: dict[str, Any]) -> None:
    numbers = {k: v for k, v in found.items() if type(v) in (int, float)}
    wrong = any(not math.isfinite(v) or ("latency" in k and v <= 0) for k, v in numbers.items())
    if wrong or not found:
        with pytest.raises(DeviceError, match="evaluate_saved_model returned"):
            checked_metrics(found)
    else:
        assert checked_metrics(found) == found


@pytest.mark.parametrize("found", [None, [], 3.0, {"x": object()}, {"x": [1.0]}])
def test_what_is_no_dict_of_numbers_is_refused(found: Any) -> None:
    with pytest.raises(DeviceError, match="evaluate_saved_model returned"):
        checked_metrics(found)
