"""What Vertex's client does: jobs with numbers, and calculators that run as long as they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hwnas.errors import JobError, UsageError
from hwnas.jobs import JobView, Place, read_job
from hwnas.vertex._board import Board, Workers
from hwnas.vertex._calculators import Calculators
from hwnas.vertex._ids import ROOT, JobIndex, NasJob
from hwnas.vertex._jobs import run_vertex_search, run_vertex_train
from hwnas.vertex._programs import Program
from hwnas.vertex._request import Measuring, SearchRequest
from hwnas.vertex._rows import trial_id
from hwnas.vertex._spaces import VertexSpace
from hwnas.vertex._trainers import FullTrainer, SearchTrainer

if TYPE_CHECKING:
    from hwnas.jobs import Observer

Watch = Callable[[NasJob], "Observer"]
"""Is told of a job before its first trial starts, and gives who is told of its trials."""

_REQUEST = "request.json"


def vertex_search(
    index: JobIndex,
    name: str,
    request: SearchRequest,
    *,
    watch: Watch,
) -> JobView:
    """A new search; see `run_vertex_search`.

    Raises:
        HwnasError: the space or a program is not there, a calculator does not start (then no trial
            does), or what `run_vertex_search` raises.
    """
    # Before there is a number: space, flags and program.
    space = VertexSpace(request.search_space)
    SearchTrainer(request.trainer, request.metric, request.flags, space=space)
    request.trainer.check()
    job = index.create("search", name)
    index.store.put(f"{job.folder}/{_REQUEST}", request.model_dump_json(indent=2).encode())
    return _search(index, job, request, 0, watch, watch(job))


def vertex_resume(
    index: JobIndex,
    previous: NasJob,
    name: str,
    changes: Mapping[str, int],
    *,
    watch: Watch,
) -> JobView:
    """Go on with a search under a new number: in its folder, with `trials` more trials.

    Args:
        changes: `trials`, `parallel` and `max_failed`.

    Raises:
        JobError: it is no search, or was started otherwise.
        HwnasError: as for `vertex_search`.
    """
    request = index.store.read(f"{previous.folder}/{_REQUEST}", SearchRequest)
    if request is None:
        raise JobError(f"NAS job {previous.id} is no search that can be resumed")
    try:
        before = len(view_of_job(index, previous).trials)
    except JobError:  # it ended before its first trial
        before = 0
    request = request.model_copy(update={**changes, "trials": before + changes["trials"]})
    request.trainer.check()
    job = index.create("search", name, previous.id, folder=previous.folder)
    return _search(index, job, request, before, watch, watch(job))


def vertex_train(
    index: JobIndex,
    parent: NasJob,
    trials: Sequence[int],
    suffix: str,
    program: Program,
    *,
    metric: str,
    flags: Mapping[str, str],
    search_space: str | None = None,
    measuring: Measuring | None = None,
    watch: Watch,
) -> JobView:
    """A new job that trains trials of a search in full, all at once; see `run_vertex_train`.

    Args:
        search_space: if given, is compared with what was searched: by a space that was edited the
            trainer would build other networks.

    Raises:
        UsageError: a trial does not exist, or has not succeeded; or the space is another.
        HwnasError: as for `vertex_search`.
    """
    _check_trials(index, parent, trials, search_space)
    FullTrainer(program, metric, flags, search_dir="", params={})  # its flags, before a number
    program.check()
    job = index.create("train", f"search_{parent.id}_{suffix}", parent.id, trials)
    observer = watch(job)
    with _measured(index, job, measuring):
        return run_vertex_train(
            program,
            index.url(parent),
            trials,
            index.url(job),
            metric=metric,
            flags=flags,
            parallel=len(trials),
            max_failed=len(trials),
            observer=observer,
        )


def view_of_job(index: JobIndex, job: NasJob) -> JobView:
    """What a job has found so far.

    Raises:
        JobError: it has no trials yet, or cannot be read.
    """
    return read_job(index.url(job))


def _check_trials(
    index: JobIndex, search_job: NasJob, trials: Sequence[int], search_space: str | None
) -> None:
    if search_job.kind != "search":
        raise UsageError(f"NAS job {search_job.id} is a train job; name the search")
    view = view_of_job(index, search_job)
    if search_space and VertexSpace(search_space).fingerprint != view.fingerprint:
        raise UsageError(
            f"{search_space} is not the space that NAS job {search_job.id} has searched: its "
            "decisions or choices are others"
        )
    known = {trial_id(search_job, one): one for one in view.trials}
    for number in trials:
        if number not in known:
            there = ", ".join(map(str, sorted(known))) or "none"
            raise UsageError(f"NAS job {search_job.id} has no trial {number}; it has {there}")
        if known[number].state != "complete":
            raise UsageError(
                f"trial {number} of NAS job {search_job.id} has not succeeded: it is "
                f"{known[number].state}"
            )


def calculator_flags(
    index: JobIndex, job: NasJob, flags: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The flags and the environment of a job's latency calculator."""
    return {"nas_job_id": str(job.id), **flags}, {ROOT: index.root, "PYTHONUNBUFFERED": "1"}


def _search(
    index: JobIndex,
    job: NasJob,
    request: SearchRequest,
    done: int,
    watch: Watch,
    observer: Observer,
) -> JobView:
    """All trials; after some of them, where that was asked for, full training of the best."""
    trained: set[int] = set()
    every = request.full.frequency if request.full else request.trials
    while True:
        asked = min((done // every + 1) * every, request.trials)
        with _measured(index, job, request.measuring):
            view = run_vertex_search(
                request.trainer,
                request.search_space,
                index.url(job),
                metric=request.metric,
                flags=request.flags,
                trials=asked,
                parallel=request.parallel,
                max_failed=request.max_failed,
                strategy=request.strategy,
                seed=request.seed,
                resume=True,
                observer=observer,
            )
        if request.full and asked % every == 0:
            best = [trial_id(job, trial) for trial in view.complete]
            chosen = [one for one in best if one not in trained][: request.full.parallel]
            if chosen:
                vertex_train(
                    index,
                    job,
                    chosen,
                    f"after_{asked}",
                    request.trainer,
                    metric=request.metric,
                    flags=request.full.flags,
                    measuring=request.measuring,
                    watch=watch,
                )
            trained.update(chosen)
        if asked == request.trials:
            return view
        done = asked


@contextmanager
def _measured(index: JobIndex, job: NasJob, measuring: Measuring | None) -> Iterator[None]:
    if measuring is None:
        yield
        return
    flags, env = calculator_flags(index, job, measuring.flags)
    board = Board(index.store.within(job.folder), job.kind)
    calculators = Calculators(
        measuring.program,
        flags,
        count=measuring.count,
        env=env,
        logs=Place.of(index.url(job)).folder / "latency",
        ready=Workers(board).ready,
    )
    with calculators:
        yield
