"""A command per trial: whoever dies, each trial is trained once and counted once."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from processes import start, wait_for
from stores import s3_bucket, s3_server

import hwnas as package
from hwnas.errors import JobError
from hwnas.jobs import Job

HWNAS = f"{sys.executable} -m hwnas"


def search(*more: str, executor: str) -> tuple[str, ...]:
    return (
        *("search", "nets:small", "--train", "nets:quick", "--job", "job", "--strategy", "random"),
        *("--max-failed", "0", "--executor", executor, *more),
    )


def trials_of(hwnas) -> list[dict]:
    return json.loads(hwnas("show", "job", "--json").stdout)["trials"]


def trained(folder: Path) -> int:
    """How often a trainer has begun."""
    path = folder / "trained.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


def process_of(folder: Path, attempt: str) -> int:
    """The process that trains an attempt, as it says itself."""
    return int((folder / f"job/attempts/{attempt}/claim").read_text().split()[1])


def family_of(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        for file in Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in file.read_text().split()]
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_search_is_resumed(hwnas, folder: Path) -> None:
    """Commands outlive their search; the resumed one follows them, and trains nothing twice."""
    wanted = search(
        "--trials", "3", "--parallel", "2", "--set", "pause=2", executor="command:{trial}"
    )
    process = start(folder, *wanted[1:])
    wait_for(lambda: trained(folder) == 2, process)
    commands = [process_of(folder, "0/1"), process_of(folder, "1/1")]
    process.kill()
    process.communicate()
    assert all(alive(pid) for pid in commands)
    hwnas("search", "--resume", "--job", "job")
    trials = trials_of(hwnas)
    assert [(t["state"], t["stale"]) for t in trials] == [("complete", 0)] * 3
    assert trained(folder) == 3
    wait_for(lambda: not any(alive(pid) for pid in commands), seconds=20)


def test_an_interrupted_search_leaves_no_process(hwnas, folder: Path) -> None:
    """Ctrl-C ends what commands started, in sessions of their own, too; the resume trains anew."""
    apart = "command?detached=true:setsid {trial} & "
    process = start(folder, *search("--trials", "1", "--set", "pause=600", executor=apart)[1:])
    wait_for(lambda: trained(folder) == 1, process)
    family = family_of(process_of(folder, "0/1"))
    assert len(family) > 1
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    wait_for(lambda: not any(alive(pid) for pid in family), seconds=20)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (signal.SIGKILL, "no sign of life for 3 s"),
        (signal.SIGSTOP, "no sign of life for 3 s"),
        (signal.SIGTERM, "its command got SIGTERM"),
    ],
    ids=["killed", "paused", "ended"],
)
def test_a_trial_without_a_sign_of_life(
    hwnas, folder: Path, sent: signal.Signals, reason: str
) -> None:
    """It is stale, not failed; its successor's result counts, whatever it does later."""
    apart = "command?detached=true&lease=3:setsid {trial} & "
    process = start(folder, *search("--trials", "1", "--set", "pause=3", executor=apart)[1:])
    wait_for(lambda: trained(folder) == 1, process)
    lost = family_of(process_of(folder, "0/1"))
    for pid in lost if sent == signal.SIGKILL else lost[:1]:
        os.kill(pid, sent)
    out, error = process.communicate(timeout=200)
    assert process.returncode == 0, out + error
    assert f"trial 0 is stale, and is run again: {reason}" in out + error
    (trial,) = trials_of(hwnas)
    assert (trial["state"], trial["stale"], trial["failure"]) == ("complete", 1, None)
    assert trained(folder) == 2
    assert not (folder / "job/attempts/0").exists()
    files = {p: p.read_bytes() for p in (folder / "job/trials/0").rglob("*") if p.is_file()}
    if sent == signal.SIGSTOP:
        os.kill(lost[0], signal.SIGCONT)
    wait_for(lambda: not any(alive(pid) for pid in lost), seconds=60)
    assert not (folder / "job/attempts/0/1/outcome.json").exists()
    assert files == {p: p.read_bytes() for p in (folder / "job/trials/0").rglob("*") if p.is_file()}


def test_a_command_that_is_run_twice(hwnas, folder: Path) -> None:
    """As schedulers do; one of the two trains."""
    hwnas(*search("--trials", "1", executor="command:{trial} & {trial}; wait"))
    assert [t["state"] for t in trials_of(hwnas)] == ["complete"]
    assert trained(folder) == 1
    assert "was begun by another process" in (folder / "job/trials/0/log.txt").read_text()


def test_a_command_that_cannot_start(hwnas, folder: Path) -> None:
    """The trial fails with what the command said."""
    broken = "command:echo no such partition >&2; exit 4 # {trial}"
    done = hwnas(*search("--trials", "1", executor=broken), check=False)
    assert done.returncode == 1
    (trial,) = trials_of(hwnas)
    assert trial["failure"]["kind"] == "exit"
    reason = "the command ended with exit code 4 before it trained: no such partition"
    assert trial["failure"]["reason"] == reason
    assert trial["failure"]["log"] == ["no such partition"]


def test_a_trial_that_waits_in_a_queue(hwnas, folder: Path) -> None:
    """It does not hold up a search whose time is over, and is trained when that is resumed."""
    queued = "command?detached=true:true # {trial}"
    limits = ("--trials", "1", "--time-limit", "2")
    done = hwnas(*search(*limits, executor=queued), check=False)
    assert done.returncode == 1
    assert "no trial of job was completed" in done.stderr
    late = hwnas("trial", "--job", "job", "--trial", "0", "--attempt", "1", check=False)
    assert "is not wanted any more" in late.stderr
    resumed = ("--time-limit", "900", "--executor", "command:{trial}")
    hwnas("search", "--resume", "--job", "job", *resumed)
    assert [t["state"] for t in trials_of(hwnas)] == ["complete"]
    assert trained(folder) == 1


def test_code_that_is_missing_where_trials_run(hwnas, folder: Path) -> None:
    """It is told at the first trial, and no other is started."""
    elsewhere = f"command:cd / && {HWNAS} trial --job {{job}} --trial {{number}}"
    done = hwnas(*search("--trials", "4", executor=elsewhere), check=False)
    assert done.returncode == 1
    assert "trial 0 cannot be trained" in done.stderr
    assert "no module named 'nets'" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(trials_of(hwnas)) == 1


def test_objects_cannot_go_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A space that has no name is refused before anything is written."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(folder)
    import nets

    with pytest.raises(JobError, match="the space is an object that trials elsewhere"):
        package.search(nets.small, nets.quick, executor="command:{trial}", folder="job")
    assert not Path("job").exists()


def test_a_job_in_a_store(hwnas, folder: Path) -> None:
    """Trials on machines that share nothing but the store, and go on from each other's files."""
    machine = f"command:XDG_CACHE_HOME={folder}/machine-{{attempt}} {{trial}}"
    with s3_server():
        url = s3_bucket()
        wanted = ("nets:small", "--train", "nets:resumes", "--job", url, "--executor", machine)
        limits = ("--trials", "2", "--parallel", "2", "--retries", "1", "--max-failed", "0")
        hwnas("search", *wanted, *limits)
        job = Job.open(url)
        for number in (0, 1):
            files = job.trial(number)
            assert files.result().metrics == {"accuracy": 0.4}
            log, metrics = (path.read_text() for path in files.fetch(["log.txt", "metrics.jsonl"]))
            assert log.index("goes on after step 0") < log.index("goes on after step 2")
            assert [json.loads(row)["step"] for row in metrics.splitlines()] == [1, 2, 3, 4]
        assert job.store.names("attempts") == []
        objects = [job.store.get(name) or b"" for name in job.store.names()]
        assert not any(os.environ["AWS_SECRET_ACCESS_KEY"].encode() in one for one in objects)
    assert len(list(folder.glob("machine-*"))) == 2


def test_a_trial_that_nobody_asked_for(hwnas, folder: Path) -> None:
    """`hwnas trial` trains what a search wants, and nothing else."""
    hwnas(*search("--trials", "1", executor="local"))
    done = hwnas("trial", "--job", "job", "--trial", "0", check=False)
    assert done.returncode == 1
    assert "job has no attempt at trial 0 that waits for a process" in done.stderr
