"""`hwnas train`: full training of chosen trials of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli._console import command, err, say
from hwnas.cli._job_options import (
    FAILING,
    HOW,
    WHAT,
    WHERE,
    WITH_RESUME,
    AcceptOption,
    EvaluatorOption,
    ExecutorOption,
    ResultJsonOption,
    RetriesOption,
    SetOption,
    TimeLimitOption,
    TimeoutOption,
    WithWorkersOption,
    WorkerDeviceOption,
    job_to_resume,
    read_options,
    read_workers,
)
from hwnas.errors import UsageError

if TYPE_CHECKING:
    from hwnas._search import Result
    from hwnas.cli._progress import Progress

EPILOG = "Example: hwnas train --job runs/digits --top 5 --set epochs=50 --parallel 2"

_WHICH = "Which trials; give one of these"


def train(
    context: typer.Context,
    job: Annotated[
        str | None,
        typer.Option(
            metavar="JOB", help="The search; with --resume the train job.", show_default=False
        ),
    ] = None,
    trials: Annotated[
        str | None,
        typer.Option(
            metavar="N,N", help="These trials, by their numbers: 1,9.", rich_help_panel=_WHICH
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="The N trials of the highest reward, such that keep the budget before others.",
            rich_help_panel=_WHICH,
        ),
    ] = None,
    pareto: Annotated[
        bool,
        typer.Option(
            "--pareto",
            metavar="",
            help="Those that no other beats in accuracy and in every budgeted cost.",
            rich_help_panel=_WHICH,
        ),
    ] = False,
    train: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME",
            help="Another trainer; by default the search's, with the options that it had.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    set_: SetOption = None,
    from_weights: Annotated[
        bool,
        typer.Option(
            "--from-weights",
            metavar="",
            help="Begin with the weights that the search left, in place of new ones.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="TASK",
            help="Other data for the same inputs and classes, such as the same without a limit; by "
            "default the search's.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="How many at a time; by default as in the search.",
            rich_help_panel=HOW,
        ),
    ] = None,
    executor: ExecutorOption = None,
    with_workers: WithWorkersOption = None,
    worker_device: WorkerDeviceOption = None,
    evaluator: EvaluatorOption = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Decides splits and training; by default as in the search.",
            rich_help_panel=HOW,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="JOB",
            help="Where the train job is kept; by default train/1, train/2 ... in the search's.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    json: ResultJsonOption = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            metavar="",
            help="Go on with the train job in --job.",
            rich_help_panel=FAILING,
        ),
    ] = False,
    accept_code_change: AcceptOption = False,
    max_failed: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="More failed trials than this end the job; by default it goes on.",
            rich_help_panel=FAILING,
        ),
    ] = None,
    trial_timeout: TimeoutOption = None,
    retries: RetriesOption = None,
    time_limit: TimeLimitOption = None,
) -> None:
    """Train chosen trials of a search in full, measure them again, and compare (stage 2)."""
    from hwnas import _train
    from hwnas.cli._run_job import run_job
    from hwnas.jobs import Job, new_train_place

    if resume:
        folder = job_to_resume(context, job, WITH_RESUME)
    elif job is None:
        raise UsageError("name a search, for example: hwnas train --job runs/digits --top 5")
    else:
        folder = out or new_train_place(Job.open(job))

    workers = read_workers(with_workers, worker_device or [], evaluator)

    def run(progress: Progress) -> Result:
        if resume:
            return _train.resume_train(
                folder,
                parallel=parallel,
                executor=executor,
                max_failed=max_failed,
                trial_timeout=trial_timeout,
                retries=retries,
                time_limit=time_limit,
                accept_code_change=accept_code_change,
                with_workers=workers,
                observer=progress,
            )
        assert job is not None
        search = Job.open(job)
        if search.is_running():
            say(f"{job} still runs; the choice is among the trials that have ended", err)
        trainer, options = train, {}
        if train is None:
            trainer, options = search.spec.trainer, search.spec.trainer_options
        return _train.train(
            job,
            _numbers(trials) if trials is not None else None,
            top=top,
            pareto=pareto,
            train=train,
            options=read_options(trainer, set_ or [], options) if trainer else {},
            from_weights=from_weights,
            task=task,
            seed=seed,
            parallel=parallel,
            executor=executor,
            max_failed=max_failed,
            trial_timeout=trial_timeout,
            retries=retries,
            time_limit=time_limit,
            folder=folder,
            accept_code_change=accept_code_change,
            with_workers=workers,
            observer=progress,
        )

    run_job(run, folder, command("train", "--resume", "--job", folder), json=json)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--trials '{text}': write numbers such as 1,9") from None
