"""`hwnas search`: run a search, or go on with one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli._console import INTERRUPTED, NOTHING_FEASIBLE, err, out, print_json
from hwnas.errors import UsageError


def search(
    space: Annotated[
        str | None,
        typer.Argument(help="A space of the zoo (digits_cnn ...), or module:name of your own."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Data: digits, idx:FOLDER, cifar10:FOLDER, "
            "images:FOLDER_OR_ZIP?size=32&limit=2000."
        ),
    ] = None,
    budget: Annotated[str, typer.Option(help="Such as 'latency <= 2 ms, params <= 3 M'.")] = "",
    trials: Annotated[
        int | None, typer.Option(min=1, help="How many networks to train; default 24.")
    ] = None,
    parallel: Annotated[
        int | None, typer.Option(min=1, help="How many at a time; default 1.")
    ] = None,
    job: Annotated[
        Path | None,
        typer.Option(help="The job's folder; by default a new one under runs/."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the job in --job; a new --trials or --parallel may be given.",
        ),
    ] = False,
    train: Annotated[
        str | None,
        typer.Option(help="Your trainer, module:function; by default the ready one for --task."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A trainer option, such as epochs=3; may be repeated."),
    ] = None,
    strategy: Annotated[
        str, typer.Option(help="random, evolution, tpe, nsga2, gp or an installed one.")
    ] = "evolution",
    reward: Annotated[
        str, typer.Option(help="hard, soft, or module:function(accuracy, costs, budget).")
    ] = "hard",
    objective: Annotated[
        str, typer.Option(help="reward, or several such as 'max accuracy, min latency'.")
    ] = "reward",
    metric: Annotated[str, typer.Option(help="The trainer's metric that counts as accuracy.")] = (
        "accuracy"
    ),
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="What to measure on: NAME or NAME=RUNTIME?threads=2&batch_size=1 (runtimes: "
            "onnxruntime, torch); may be repeated, the first is the default."
        ),
    ] = None,
    count_bias: Annotated[
        bool, typer.Option("--count-bias", help="flops = 2 x MACs + biases, not 2 x MACs.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides archs, splits and training.")] = 0,
    max_failed: Annotated[
        int | None,
        typer.Option(min=0, help="More failed trials than this end the search; default a third."),
    ] = None,
    trial_timeout: Annotated[
        float | None,
        typer.Option(help="Seconds after which a trial is failed."),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="An Optuna storage URL, or env:NAME of a variable that holds one (so that a "
            "password stays out of the command line); by default a journal in the job's folder."
        ),
    ] = None,
    accept_code_change: Annotated[
        bool,
        typer.Option("--accept-code-change", help="Resume although the network's code changed."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search a space for the most accurate network that keeps a budget.

    hwnas search digits_cnn --task digits --budget 'latency <= 0.1 ms' --trials 24 --parallel 2
    """
    from hwnas._search import resume_search
    from hwnas._search import search as run
    from hwnas.cli._progress import Progress
    from hwnas.cli._result import print_result
    from hwnas.report import to_json

    progress = Progress(quiet=json)
    folder = job
    try:
        with progress:
            if resume:
                if folder is None:
                    raise UsageError("--resume needs the job's folder: --job FOLDER")
                result = resume_search(
                    folder,
                    trials=trials,
                    parallel=parallel,
                    accept_code_change=accept_code_change,
                    observer=progress,
                )
            else:
                if space is None:
                    raise UsageError(
                        "name a space, for example: hwnas search digits_cnn --task digits"
                    )
                folder = folder or _folder(space)
                result = run(
                    space,
                    train,
                    task=task,
                    budget=budget,
                    trials=trials,
                    parallel=parallel,
                    strategy=strategy,
                    seed=seed,
                    reward=reward,
                    objective=objective,
                    metric=metric,
                    count_bias=count_bias,
                    options=_trainer_options(train, set_ or []),
                    devices=device or ["local"],
                    max_failed=max_failed,
                    trial_timeout=trial_timeout,
                    folder=folder,
                    storage=storage,
                    observer=progress,
                )
    except KeyboardInterrupt:
        err.print(
            f"interrupted; what is done is kept. Go on with: hwnas search --resume --job {folder}",
            markup=False,
            soft_wrap=True,
        )
        raise typer.Exit(INTERRUPTED) from None
    if json:
        print_json(to_json(result.view))
    else:
        print_result(result, out)
    if not result.feasible:
        raise typer.Exit(NOTHING_FEASIBLE)


def _folder(space: str) -> Path:
    from hwnas._search import new_folder

    return new_folder(space)


def _trainer_options(train: str | None, pairs: list[str]) -> dict[str, object]:
    from hwnas import _refs
    from hwnas.tasks import classify, trainer_options

    given = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise UsageError(f"--set {pair}: write option=value, for example --set epochs=3")
        given[name.strip()] = value
    return trainer_options(_refs.load(train) if train else classify, given)
