"""Choosing an executor: by text, by an object, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import hwnas
from hwnas.errors import JobError, UsageError
from hwnas.jobs import Executor, make_executor


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere", "unknown executor 'nowhere'; known: .*local"),
        ("", "unknown executor ''"),
        ("local?cpus=2", "has no option 'cpus=2'.*its options: threads"),
        ("local?threads=0", "threads: it should be greater than or equal to 1"),
        ("local?threads=1&threads=2", "'threads' is given twice"),
        ("command", "template: .*required"),
        ("command:srun", r"it needs \{trial\}"),
        ("command:srun {trail}", r"'\{trail\}' is not known; there are \{trial\}"),
        ("command?lease=0:{trial}", "lease: it should be greater than or equal to 3"),
        ("local:sh", "nothing may follow a colon"),
    ],
)
def test_what_is_no_executor(text: str, message: str) -> None:
    """Options are read strictly; the message names those that exist."""
    with pytest.raises(UsageError, match=message):
        make_executor(text)


def test_an_unknown_executor_writes_nothing(hwnas, folder: Path) -> None:
    """It is refused before the job's folder is made, and at a resume before anything changes."""
    search = ("search", "nets:small", "--train", "nets:quick", "--trials", "1", "--job", "job")
    refused = hwnas(*search, "--executor", "nowhere", check=False)
    assert refused.returncode == 2
    assert "unknown executor 'nowhere'" in refused.stderr
    assert not (folder / "job").exists()
    hwnas(*search, "--executor", "local")
    before = (folder / "job/job.json").read_text()
    assert json.loads(before)["executor"] == "local"
    resume = ("search", "--job", "job", "--resume", "--executor", "nowhere")
    assert hwnas(*resume, check=False).returncode == 2
    assert (folder / "job/job.json").read_text() == before


def test_an_executor_of_ones_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A factory is given the job and the events; the request says that it cannot be named."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(folder)
    import nets

    made: list[Executor] = []

    def factory(*arguments: object) -> Executor:
        made.append(make_executor("local")(*arguments))
        return made[-1]

    options = {"trials": 2, "folder": "job", "executor": factory}
    result = hwnas.search(nets.small, nets.quick, **options)
    assert len(result.trials) == 2
    assert made[0].job.folder == Path("job")
    assert json.loads((folder / "job/job.json").read_text())["executor"] is None
    options |= {"trials": 3, "resume": True}
    assert len(hwnas.search(nets.small, nets.quick, **options).trials) == 3
    with pytest.raises(JobError, match="was started with an executor object"):
        hwnas.search(nets.small, nets.quick, trials=4, folder="job", resume=True)


def test_older_jobs_open(hwnas, folder: Path) -> None:
    """A request that was written before there were executors is trained by local processes."""
    search = ("search", "nets:small", "--train", "nets:quick", "--trials", "1", "--job", "job")
    hwnas(*search)
    path = folder / "job/job.json"
    request = json.loads(path.read_text())
    del request["executor"]
    path.write_text(json.dumps(request))
    hwnas("search", "--job", "job", "--resume", "--trials", "2")
    assert json.loads(path.read_text())["executor"] == "local"
