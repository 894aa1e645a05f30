"""Searches whose trials are programs that know nothing but Vertex's flags, variables and files."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hwnas.errors import ArchError, JobError, SpaceError, UsageError
from hwnas.jobs import Job, JobView
from hwnas.vertex import LocalProgram, run_vertex_search, run_vertex_train

HERE = Path(__file__).parent
PROGRAM = LocalProgram(str(HERE / "trainer.py"))


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)


def search(folder: Path, **options: object) -> JobView:
    asked = {"metric": "nas_reward", "trials": 2, "parallel": 2, **options}
    return run_vertex_search(PROGRAM, "spaces.layers", folder, **asked)  # type: ignore[arg-type]


def failure(folder: Path, **options: object) -> tuple[str, str]:
    view = search(folder, trials=1, max_failed=1, **options)
    (trial,) = view.failed
    assert trial.failure is not None
    return trial.failure.kind, trial.failure.reason


def test_a_search_and_its_second_stage(tmp_path: Path) -> None:
    """Each trial gets its own arch, number, folder and flags; what it reports is read back."""
    view = search(tmp_path / "search", trials=4, flags={"how": "well"})
    assert [t.state for t in view.trials] == ["complete"] * 4
    for trial in view.trials:
        filters = trial.arch["[0].filters"] + trial.arch["[1].filters"]
        assert trial.metrics == {"nas_reward": filters / 20, "filters": filters}
        assert (trial.reward, trial.step) == (filters / 20, 2)
        folder = tmp_path / "search" / "nas" / "search" / str(trial.number + 1)
        kept = json.loads((folder / "nas_params_str.json").read_text())
        assert kept["[0].filters"].endswith(f"({trial.arch['[0].filters']})")
    assert view.winner == max(view.trials, key=lambda t: t.reward or 0).number

    full = run_vertex_train(
        PROGRAM, tmp_path / "search", [4, 1], tmp_path / "full", metric="nas_reward"
    )
    by_search = {t.arch["search_trial"]: t for t in full.trials}
    assert by_search.keys() == {1, 4}
    for number, trial in by_search.items():
        assert trial.reward == view.trials[number - 1].reward
    first = tmp_path / "full/nas/train/1/nas_params_str.json"
    assert json.loads(first.read_text()) == json.loads(
        (tmp_path / "search/nas/search/4/nas_params_str.json").read_text()
    )


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("how", "kind", "reason"),
    [
        ("exit", "exit", "ended with exit code 1: data set not found"),
        ("killed", "killed", "was killed by SIGKILL"),
        ("silent", "metrics", "ended with exit code 0 and reported no 'nas_reward'"),
        ("other metric", "metrics", "it reported no metric 'nas_reward', but 'accuracy'"),
        ("nan", "metrics", "it reported nas_reward = nan"),
        ("fails at last", "exit", "ended with exit code 3"),
        ("litters", "exit", "ended with exit code 2"),
    ],
)
def test_a_failed_trial_says_why(tmp_path: Path, how: str, kind: str, reason: str) -> None:
    found = failure(tmp_path / "job", flags={"how": how})
    assert found[0] == kind
    assert reason in found[1]


def test_a_trial_that_hangs_is_ended(tmp_path: Path) -> None:
    kind, reason = failure(tmp_path / "job", flags={"how": "hangs"}, trial_timeout=1.0)
    assert kind == "timeout"
    assert "1 s" in reason


def test_what_was_reported_by_the_end_of_the_time_counts(tmp_path: Path) -> None:
    view = search(tmp_path / "job", trials=2, parallel=1, flags={"how": "goes on"}, time_limit=6.0)
    (trial,) = view.trials
    assert (trial.state, trial.step) == ("complete", 2)


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"no program nowhere\.py"):
        run_vertex_search(LocalProgram("nowhere.py"), "spaces.layers", tmp_path / "j", metric="m")
    assert not (tmp_path / "j").exists()


def test_too_many_failures_end_the_search(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="2 trials failed, more than the 1 allowed"):
        search(tmp_path / "job", trials=6, parallel=1, max_failed=1, flags={"how": "exit"})
    assert Job.open(tmp_path / "job").life.ended
    view = search(tmp_path / "job", trials=3, max_failed=0, flags={}, resume=True)
    assert [t.state for t in view.trials] == ["failed", "failed", "complete"]


def test_a_failed_trial_is_tried_again(tmp_path: Path) -> None:
    view = search(
        tmp_path / "job", trials=1, retries=2, max_failed=1, flags={"how": "fails at last"}
    )
    assert len(view.failed) == 1
    log = (tmp_path / "job/trials/0/log.txt").read_text()
    assert log.count("params") == 3


KILLED = """
import sys
from hwnas.vertex import LocalProgram, run_vertex_search
program = LocalProgram(sys.argv[1])
run_vertex_search(program, "spaces.layers", sys.argv[2], metric="nas_reward", trials=3,
                  parallel=2, flags={"how": "hangs"})
"""


def test_nothing_is_left_of_a_killed_search_and_it_goes_on(tmp_path: Path) -> None:
    """Its trainers end; resumed, each trial is run again under its number."""
    job = tmp_path / "job"
    process = subprocess.Popen([sys.executable, "-c", KILLED, PROGRAM.binary, str(job)])
    logs = [job / f"trials/{number}/log.txt" for number in range(2)]

    def trainers() -> list[Path]:
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if str(job).encode() in file.read_bytes():
                    found.append(file)
        return found

    wait_for(lambda: all(log.exists() and b"params" in log.read_bytes() for log in logs))
    process.kill()
    process.wait()
    wait_for(lambda: not trainers())
    view = search(job, trials=3, resume=True)
    assert [(t.number, t.state) for t in view.trials] == [(n, "complete") for n in range(3)]


def test_intermediate_reports_are_told(tmp_path: Path) -> None:
    from hwnas.jobs import Observer

    told = []

    class Watching(Observer):
        def reported(self, number: int, step: int, metrics: dict[str, float]) -> None:
            told.append((number, step))

    search(tmp_path / "job", trials=1, flags={"how": "in steps"}, observer=Watching())
    assert told == [(0, 1), (0, 2)]
    rows = (tmp_path / "job/trials/0/metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [1, 2]


@pytest.mark.parametrize(
    ("space", "error", "reason"),
    [
        ("layers", UsageError, "not of the form"),
        ("spaces.none", UsageError, "has no 'none'"),
        ("nowhere.layers", UsageError, "no module named 'nowhere'"),
        ("spaces.NUMBER", UsageError, "is int, not a function"),
        ("spaces.fixed", SpaceError, "without any choice"),
        ("spaces.broken", SpaceError, "no such layer"),
    ],
)
def test_bad_spaces(tmp_path: Path, space: str, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        run_vertex_search(PROGRAM, space, tmp_path / "job", metric="m")
    assert not (tmp_path / "job").exists()


def test_flags_of_the_protocol_are_not_the_users(tmp_path: Path) -> None:
    for name in ("job-dir", "job_dir", "nas_params_str", "retrain_search_job_trials"):
        with pytest.raises(UsageError, match=f"{name} is set for each trial"):
            search(tmp_path / "job", flags={name: "x"})


def test_trials_that_are_not_there_cannot_be_trained(tmp_path: Path) -> None:
    search(tmp_path / "job", trials=1)
    for wrong, reason in (([2], "no trial 2"), ([], "one at least"), ([1, 1], "each once")):
        with pytest.raises(UsageError, match=reason):
            run_vertex_train(PROGRAM, tmp_path / "job", wrong, tmp_path / "full", metric="m")


def test_another_space_is_refused_on_resume(tmp_path: Path, monkeypatch) -> None:
    search(tmp_path / "job")
    import pyglove as pg
    import spaces

    monkeypatch.setattr(spaces, "layers", lambda: pg.List([pg.Dict(kernel=pg.one_of([3, 7]))]))
    with pytest.raises(JobError, match="the space is not the one"):
        search(tmp_path / "job", trials=3, resume=True)


def test_params_of_another_space_are_refused() -> None:
    from hwnas.vertex import VertexSpace

    space = VertexSpace("spaces.layers")
    arch = space.default()
    params = json.loads(space.params_str(arch))
    assert space.arch_of_params(json.dumps(params)) == arch
    for change in ({"[0].kernel": "0/3 (3)"}, {"[0].kernel": "0/2 (7)"}, {"[9]": "0/2 (3)"}):
        with pytest.raises(ArchError, match="no arch of this space"):
            space.arch_of_params(json.dumps(params | change))
    for wrong in ("{", "[]"):
        with pytest.raises(ArchError, match="JSON"):
            space.arch_of_params(wrong)
