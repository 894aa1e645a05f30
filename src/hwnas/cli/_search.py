"""`hwnas search`: run a search, or go on with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli._console import command
from hwnas.cli._counting import BIAS_HELP, COUNTING_HELP, CountingName, chosen_counting
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
from hwnas.cli._options import COST_HELP, DEVICE_HELP, JOB_HELP
from hwnas.errors import UsageError

if TYPE_CHECKING:
    from hwnas._search import Result
    from hwnas.cli._progress import Progress

EPILOG = (
    "Example: hwnas search digits_cnn --task digits --budget 'latency <= 0.5 ms, params <= 20 k' "
    "--trials 24 --parallel 2"
)

_BUDGET = "Budget and devices"
_STAGE2 = "Full training inside the search"


def search(
    context: typer.Context,
    space: Annotated[
        str | None,
        typer.Argument(
            metavar="SPACE",
            help="A space of the zoo (digits_cnn, mnist_cnn, image_cnn ...), or module:name or "
            "file.py:name of your own.",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="TASK",
            help="The data: digits, idx:FOLDER, cifar10:FOLDER, "
            "images:FOLDER_OR_ZIP?size=32&limit=2000.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    train: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME",
            help="Your trainer; by default the ready one, which needs --task.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    set_: SetOption = None,
    metric: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The trainer's metric that counts as accuracy.",
            rich_help_panel=WHAT,
        ),
    ] = "accuracy",
    input_shape: Annotated[
        str | None,
        typer.Option(
            metavar="C,H,W",
            help="The shape of one input, such as 3,32,32, where no task tells it.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            metavar="LIMITS",
            help="Such as 'latency <= 2 ms, params <= 3 M'; by default there is none.",
            show_default=False,
            rich_help_panel=_BUDGET,
        ),
    ] = "",
    cost: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]COST",
            help=COST_HELP,
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DEVICE",
            help=f"{DEVICE_HELP}; may be repeated, and the first is meant where the budget names "
            "none.",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    with_workers: WithWorkersOption = None,
    worker_device: WorkerDeviceOption = None,
    evaluator: EvaluatorOption = None,
    counting: Annotated[
        CountingName | None,
        typer.Option(help=COUNTING_HELP, show_default=False, rich_help_panel=_BUDGET),
    ] = None,
    count_bias: Annotated[
        bool,
        typer.Option("--count-bias", metavar="", help=BIAS_HELP, rich_help_panel=_BUDGET),
    ] = False,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="How many networks to train; by default 24.",
            rich_help_panel=HOW,
        ),
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="How many at a time; by default 1.", rich_help_panel=HOW
        ),
    ] = None,
    executor: ExecutorOption = None,
    strategy: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="random, evolution, tpe, nsga2, gp or an installed one.",
            rich_help_panel=HOW,
        ),
    ] = "evolution",
    reward: Annotated[
        str,
        typer.Option(
            metavar="REWARD",
            help="hard, soft, or module:name of a function (accuracy, costs, budget) -> number.",
            rich_help_panel=HOW,
        ),
    ] = "hard",
    objective: Annotated[
        str,
        typer.Option(
            metavar="OBJECTIVES",
            help="reward, or several such as 'max accuracy, min latency'.",
            rich_help_panel=HOW,
        ),
    ] = "reward",
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Decides archs, splits and training.",
            rich_help_panel=HOW,
        ),
    ] = 0,
    train_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Train the best in full whenever N more trials are completed; by default never.",
            rich_help_panel=_STAGE2,
        ),
    ] = None,
    train_top: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="K",
            help="How many at a time, of those not trained in full before; by default 3.",
            rich_help_panel=_STAGE2,
        ),
    ] = None,
    train_set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPTION=VALUE",
            help="An option that the trainer then has, such as epochs=50; may be repeated.",
            rich_help_panel=_STAGE2,
        ),
    ] = None,
    train_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="A full training that takes longer is killed, and has failed.",
            rich_help_panel=_STAGE2,
        ),
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(
            metavar="JOB",
            help=f"{JOB_HELP} By default a new folder under runs/.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="An Optuna storage URL, or env:NAME of a variable that holds one (so that a "
            "password stays out of the command line); by default a journal in the job's folder.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    json: ResultJsonOption = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            metavar="",
            help="Go on with the job in --job; a new --trials or --parallel may be given.",
            rich_help_panel=FAILING,
        ),
    ] = False,
    accept_code_change: AcceptOption = False,
    max_failed: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="More failed trials than this end the search; by default a third of all.",
            rich_help_panel=FAILING,
        ),
    ] = None,
    trial_timeout: TimeoutOption = None,
    retries: RetriesOption = None,
    time_limit: TimeLimitOption = None,
) -> None:
    """Search a space for the most accurate network that keeps a budget."""
    from hwnas import _search
    from hwnas.cli._run_job import run_job
    from hwnas.cli._shape import parse_shape

    if resume:
        folder = job_to_resume(context, job, WITH_RESUME | {"trials"})
    elif space is None:
        raise UsageError("name a space, for example: hwnas search digits_cnn --task digits")
    else:
        folder = job or str(_search.new_folder(space))

    workers = read_workers(with_workers, worker_device or [], evaluator)

    def run(progress: Progress) -> Result:
        if resume:
            return _search.resume_search(
                folder,
                trials=trials,
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
        assert space is not None
        if train_every is None and (train_top, train_set, train_timeout) != (None, None, None):
            raise UsageError("--train-top, --train-set and --train-timeout go with --train-every")
        options = read_options(train, set_ or [])
        return _search.search(
            space,
            train,
            task=task,
            budget=budget,
            costs=cost or [],
            trials=trials,
            parallel=parallel,
            executor=executor,
            strategy=strategy,
            seed=seed,
            reward=reward,
            objective=objective,
            metric=metric,
            counting=chosen_counting(counting, count_bias),
            options=options,
            train_every=train_every,
            train_top=train_top or 3,
            train_options=read_options(train, train_set or [], options),
            train_timeout=train_timeout,
            devices=device or ["local"],
            input_shape=parse_shape(input_shape) if input_shape else None,
            max_failed=max_failed,
            trial_timeout=trial_timeout,
            retries=retries,
            time_limit=time_limit,
            folder=folder,
            storage=storage,
            with_workers=workers,
            observer=progress,
        )

    run_job(run, folder, command("search", "--resume", "--job", folder), json=json)
