"""Options that the commands which run jobs have in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.errors import UsageError

if TYPE_CHECKING:
    from hwnas.jobs import WithWorkers

WHAT, HOW = "What is trained", "How"
WORKERS = "Workers on this machine"
WHERE, FAILING = "Where it is kept", "When things fail"

WITH_RESUME = frozenset(
    {
        "job",
        "resume",
        "parallel",
        "executor",
        "with_workers",
        "worker_device",
        "evaluator",
        "max_failed",
        "trial_timeout",
        "retries",
        "time_limit",
        "accept_code_change",
        "json",
    }
)
"""What may be said together with `--resume`; all else is read from the job."""

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="OPTION=VALUE",
        help="An option of the trainer, such as epochs=3; may be repeated.",
        rich_help_panel=WHAT,
    ),
]
ExecutorOption = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="EXECUTOR",
        help="What trains: local (processes of this machine, the default), "
        "command:TEMPLATE (a command per trial, such as 'command:srun {trial}'), or an "
        "installed one with its options, NAME?option=value.",
        show_default=False,
        rich_help_panel=HOW,
    ),
]
ResultJsonOption = Annotated[
    bool,
    typer.Option(
        "--json",
        metavar="",
        help="Print the result as JSON, and nothing else.",
        rich_help_panel=WHERE,
    ),
]
WithWorkersOption = Annotated[
    int | None,
    typer.Option(
        "--with-workers",
        metavar="N",
        help="Start so many workers here for each device NAME=queue; they end with the job.",
        show_default=False,
        rich_help_panel=WORKERS,
    ),
]
WorkerDeviceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--worker-device",
        metavar="DEVICE",
        help="How models run on these workers: NAME=RUNTIME?threads=2, as in hwnas worker; may "
        "be repeated.",
        rich_help_panel=WORKERS,
    ),
]
EvaluatorOption = Annotated[
    str | None,
    typer.Option(
        "--evaluator",
        metavar="MODULE:CLASS",
        help="What these workers do with models: a subclass of hwnas.jobs.Evaluator.",
        rich_help_panel=WORKERS,
    ),
]
AcceptOption = Annotated[
    bool,
    typer.Option(
        "--accept-code-change",
        metavar="",
        help="Go on although the code that builds the networks has changed.",
        rich_help_panel=FAILING,
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--trial-timeout",
        metavar="SECONDS",
        help="A trial that takes longer is killed, and has failed.",
        rich_help_panel=FAILING,
    ),
]
RetriesOption = Annotated[
    int | None,
    typer.Option(
        "--retries",
        min=0,
        metavar="N",
        help="Run a trial that failed again, so many times, before it counts as failed.",
        rich_help_panel=FAILING,
    ),
]
TimeLimitOption = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        metavar="SECONDS",
        help="Start no trial after so long, and ask those that run to stop.",
        rich_help_panel=FAILING,
    ),
]


def job_to_resume(context: typer.Context, job: str | None, allowed: Collection[str]) -> str:
    """The job that `--resume` goes on with; beside it only `allowed` parameters may be given.

    Raises:
        UsageError: there is no `--job`, or another parameter is given.
    """
    if job is None:
        raise UsageError("--resume needs the job: --job JOB")
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}
    if extra := sorted(given - set(allowed)):
        names = ", ".join(
            "SPACE" if name == "space" else "--" + name.strip("_").replace("_", "-")
            for name in extra
        )
        raise UsageError(f"leave out {names}: --resume reads it from {job}, where it was fixed")
    return job


def read_options(
    train: str | None, pairs: Sequence[str], beside: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """`OPTION=VALUE` pairs as keyword arguments of a trainer; None is the ready one.

    `beside` are options that it has already.

    Raises:
        UsageError: not of this form, given twice, or not an option of the trainer.
    """
    from hwnas.tasks import classify, load_trainer, trainer_options

    given: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not (name and equals):
            raise UsageError(f"--set '{pair}': write option=value, for example --set epochs=3")
        if name in given:
            raise UsageError(f"--set {name} is given twice")
        given[name] = value
    return trainer_options(load_trainer(train) if train else classify, given, beside)


def read_workers(
    count: int | None, devices: Sequence[str], evaluator: str | None
) -> WithWorkers | None:
    """What `--with-workers` and the options beside it ask for.

    Raises:
        UsageError: the others are given alone.
    """
    from hwnas.jobs import WithWorkers

    if count is None:
        if devices or evaluator is not None:
            raise UsageError("--worker-device and --evaluator go with --with-workers N")
        return None
    return WithWorkers(count, tuple(devices), evaluator)
