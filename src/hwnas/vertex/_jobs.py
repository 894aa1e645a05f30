"""Search and train jobs whose trials are programs that follow Vertex's protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hwnas.errors import SpaceError, UsageError
from hwnas.jobs import (
    Job,
    JobSpec,
    JobView,
    Objective,
    Observer,
    Place,
    SpaceInfo,
    Store,
    run_search,
)
from hwnas.vertex._board import path_of
from hwnas.vertex._executor import vertex_executor
from hwnas.vertex._layout import PARAMS
from hwnas.vertex._programs import Program
from hwnas.vertex._spaces import VertexSpace
from hwnas.vertex._trainers import SEARCH_TRIAL, FullTrainer, SearchTrainer, Trainer

if TYPE_CHECKING:
    from hwnas.space import SearchSpace

_AS_REPORTED = "hwnas.vertex._reward:as_reported"


def run_vertex_search(
    program: Program,
    search_space: str,
    folder: str | Path,
    *,
    metric: str,
    flags: Mapping[str, str] | None = None,
    trials: int = 5,
    parallel: int = 5,
    max_failed: int = 5,
    strategy: str = "evolution",
    seed: int = 0,
    trial_timeout: float | None = None,
    retries: int = 0,
    time_limit: float | None = None,
    resume: bool = False,
    observer: Observer | None = None,
) -> JobView:
    """Search with a trainer that was written for Vertex AI NAS.

    Trial n of the view (`view.trials`, from 0) is trial n + 1 of the trainer: its files are in
    `<folder>/nas/search/<n + 1>/`, its output in `<folder>/trials/<n>/log.txt`.

    Args:
        program: the trainer; see `Program`.
        search_space: `package.module.function` of a function that returns a PyGlove value.
        folder: the job's folder or URL, `<root>/<job name>_<time>`. Trials run on this machine; a
            trainer must be able to write to such a URL.
        metric: the tag of the metric that the trainer reports, and that is maximised.
        flags: further flags of the trainer.
        trials: how many to train.
        parallel: how many at a time.
        max_failed: the search ends when more than this fail.
        strategy: what proposes; see `hwnas.search`.
        seed: decides what is proposed.
        trial_timeout: seconds after which a trial is failed.
        retries: how often a failed trial is run again before it counts as failed.
        time_limit: seconds after which no trial is started, and those that run are ended.
        resume: go on with the job in `folder`: the same program, space and flags; its limits are
            those given now.
        observer: told of what happens.

    Raises:
        HwnasError: an argument makes no sense, the program cannot be started, too many trials
            failed, or the space is not the one that the job was started with.
    """
    space = VertexSpace(search_space)
    trainer = SearchTrainer(program, metric, dict(flags or {}), space=space)
    limits = _limits(trials, parallel, max_failed, trial_timeout, retries, time_limit)
    return _run(trainer, space, search_space, folder, limits, strategy, seed, resume, observer)


def run_vertex_train(
    program: Program,
    search_folder: str | Path,
    search_trials: Sequence[int],
    folder: str | Path,
    *,
    metric: str,
    flags: Mapping[str, str] | None = None,
    parallel: int = 5,
    max_failed: int = 5,
    trial_timeout: float | None = None,
    retries: int = 0,
    time_limit: float | None = None,
    resume: bool = False,
    observer: Observer | None = None,
) -> JobView:
    """Train trials of a search in full, with a trainer that was written for Vertex AI NAS.

    The trial of `search_trials[i]` trains in `<folder>/nas/train/<i + 1>/`; in the view it is the
    one whose arch says `search_trial`. Other arguments are those of `run_vertex_search`.

    Args:
        search_folder: the folder or URL of the search.
        search_trials: numbers of its trials, from 1, each once.

    Raises:
        HwnasError: there is no such trial, or see `run_vertex_search`.
    """
    if not search_trials or len(set(search_trials)) < len(search_trials):
        raise UsageError(f"trials to train: {list(search_trials)}; name one at least, each once")
    search = Place.of(search_folder)
    stage = search.store.within("nas/search")
    params = {number: _params(stage, number) for number in search_trials}
    trainer = FullTrainer(
        program,
        metric,
        dict(flags or {}),
        search_dir=path_of(stage),
        params=params,
    )
    from hwnas.space import FunctionSpace

    space = FunctionSpace({SEARCH_TRIAL: list(params)}, _no_network)
    limits = _limits(len(params), parallel, max_failed, trial_timeout, retries, time_limit)
    name = f"trials of {search.name}"
    return _run(trainer, space, name, folder, limits, "random", 0, resume, observer)


def _run(
    trainer: Trainer,
    space: SearchSpace,
    name: str,
    folder: str | Path,
    limits: Mapping[str, Any],
    strategy: str,
    seed: int,
    resume: bool,
    observer: Observer | None,
) -> JobView:
    trainer.program.check()
    if resume and Job.exists(folder):
        job = Job.open(folder)
        job.ask_for(**limits)
    else:
        spec = JobSpec(
            name=Job.name_at(folder),
            space=SpaceInfo(
                name=name,
                reference=None,
                fingerprint=space.fingerprint,
                code_hash=space.code_hash,
                size=space.size(),
            ),
            trainer=None,
            reward=_AS_REPORTED,
            metric=trainer.metric,
            objectives=Objective.parse("reward"),
            strategy=strategy,
            executor=None,
            seed=seed,
            **limits,
        )
        job = Job.create(folder, spec, space)
    return run_search(job, space, _no_network, executor=vertex_executor(trainer), observer=observer)


def _limits(
    trials: int,
    parallel: int,
    max_failed: int,
    trial_timeout: float | None,
    retries: int,
    time_limit: float | None,
) -> dict[str, Any]:
    return {
        "trials": trials,
        "parallel": parallel,
        "max_failed": max_failed,
        "trial_timeout": trial_timeout,
        "retries": retries,
        "time_limit": time_limit,
    }


def _params(search: Store, number: int) -> str:
    data = search.get(f"{number}/{PARAMS}")
    if data is None:
        raise UsageError(f"there is no trial {number} to train: {search.url} has no {number}")
    return data.decode()


def _no_network(*arguments: Any, **options: Any) -> NoReturn:
    raise SpaceError("the networks of this job are built by its trainer alone")
