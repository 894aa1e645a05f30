"""`hwnas predict nas`: the best network under a latency limit, by a predictor."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from hwnas.cli._console import NOTHING_FEASIBLE, count_text, print_json, print_wide, say
from hwnas.cli._options import JsonOption, SeedOption, ShapeOption, SpaceArgument, TaskOption
from hwnas.cli._predict_adapt import check_known
from hwnas.cli._predict_known import KnownDevice, Request, device_at_hand, device_of_table
from hwnas.cli._predict_options import StoreOption, short_arch
from hwnas.errors import UsageError

if TYPE_CHECKING:
    from hwnas.strategy import Pick, Picks

EPILOG = (
    "Example: hwnas predict nas nasbench201 --candidates arch_generated_by_metad2a.txt "
    "--device phone --limit '18 ms'"
)


def nas(
    space: SpaceArgument,
    limit: Annotated[
        list[str],
        typer.Option(
            "--limit",
            metavar="LATENCY",
            help="Such as '18 ms'; may be repeated.",
            show_default=False,
        ),
    ],
    candidates: Annotated[
        Path | None,
        typer.Option(
            "--candidates",
            metavar="FILE",
            help="Archs with their accuracies to pick from: lines 'ARCH, ACCURACY' in a .txt, or "
            ".csv, .parquet or .jsonl with arch and accuracy.",
            show_default=False,
        ),
    ] = None,
    accuracy: Annotated[
        str | None,
        typer.Option(
            "--accuracy",
            metavar="MODEL",
            help="In place of candidates: what tells accuracies, for an evolution over the whole "
            "space: Once-for-All's acc_predictor.pth, or module:name of a function of a list of "
            "archs.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="DEVICE",
            help="What to measure on, as for hwnas predict adapt; with --latencies the device of "
            "that file.",
            show_default=False,
        ),
    ] = None,
    latencies: Annotated[
        Path | None,
        typer.Option(
            "--latencies",
            metavar="FILE",
            help="Latencies that were measured already, in place of a device: whatever hwnas "
            "predict import reads or writes.",
            show_default=False,
        ),
    ] = None,
    predictor: Annotated[
        Path | None,
        typer.Option(
            "--predictor",
            metavar="FOLDER",
            help="Of hwnas predict adapt, which knows the device; or of hwnas predict train, which "
            "is adapted first.",
            show_default=False,
        ),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(
            "--sources",
            metavar="FILE",
            help="Latencies of other devices to learn from, in place of a predictor.",
            show_default=False,
        ),
    ] = None,
    prior: Annotated[
        bool,
        typer.Option(
            "--prior",
            metavar="",
            help="Begin from the prior that comes with the space, or fail; by default it is taken "
            "where there is one.",
        ),
    ] = False,
    n: Annotated[
        int, typer.Option("-n", min=1, metavar="N", help="Measurements to adapt to the device.")
    ] = 10,
    finalists: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many to measure for each limit; 0: none.")
    ] = 5,
    confidence: Annotated[
        float,
        typer.Option(
            min=0.5,
            max=0.999,
            metavar="P",
            help="With which a prediction must keep the limit.",
        ),
    ] = 0.95,
    seed: SeedOption = 0,
    task: TaskOption = None,
    input_shape: ShapeOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Find the most accurate network that keeps a latency limit on a device.

    The device is known from a few measurements. What the predictor promises is measured before it
    is believed; exit code 3 if for some limit nothing keeps it.
    """
    if (candidates is None) == (accuracy is None):
        raise UsageError("give either --candidates or --accuracy")
    check_known(sources, predictor, prior=prior)
    limits = [_limit(text) for text in limit]
    request = Request(space, task, input_shape, predictor, sources, prior, n, seed)
    with ExitStack() as stack:
        if latencies is not None:
            known = device_of_table(request, latencies, device)
        else:
            known = device_at_hand(request, device, store, stack, quiet=json)
        if not finalists or (accuracy is not None and latencies is not None):
            known = replace(known, measure=None)  # a table cannot measure what evolution makes
        options = {
            "confidence": confidence,
            "measure": known.measure,
            "finalists": max(finalists, 1),
        }
        if candidates is not None:
            found = _picked(request, known, candidates, limits, options)
        else:
            found = _evolved(request, known, str(accuracy), limits, options)
    if json:
        print_json(_facts(space, known, found))
    else:
        _print(known, found)
    if not all(picks.feasible for picks in found):
        raise typer.Exit(NOTHING_FEASIBLE)


def _picked(
    request: Request, known: KnownDevice, file: Path, limits: list[float], options: dict[str, Any]
) -> list[Picks]:
    from hwnas.predict import read_scored
    from hwnas.strategy import pick_under

    scored = read_scored(file, request.reference, known.space)
    return [
        pick_under(scored.archs, scored.scores, known.predictor, limit, **options)
        for limit in limits
    ]


def _evolved(
    request: Request,
    known: KnownDevice,
    accuracy: str,
    limits: list[float],
    options: dict[str, Any],
) -> list[Picks]:
    """By evolution, the image's size included where the accuracies depend on it."""
    from hwnas import _refs
    from hwnas.predict import OFA_RESOLUTIONS, OfaAccuracy
    from hwnas.space import SizedSpace
    from hwnas.strategy import Candidates, search_under

    space, model = known.space, None
    if accuracy.endswith(".pth"):
        model = OfaAccuracy(accuracy)
        space = SizedSpace(space, OFA_RESOLUTIONS)
    else:
        model = _refs.load(accuracy)
        if not callable(model):
            raise UsageError(f"--accuracy {accuracy} is {type(model).__name__}, not a function")
    return [
        search_under(Candidates(space), model, known.predictor, limit, seed=request.seed, **options)
        for limit in limits
    ]


def _limit(text: str) -> float:
    """In ms."""
    from hwnas.budget import Budget

    (constraint,) = Budget.parse(f"latency <= {text}")
    return constraint.limit


def _facts(space: str, known: KnownDevice, found: list[Picks]) -> dict[str, Any]:
    return {
        "space": space,
        "device": known.device,
        "known": known.told,
        "measurements": known.spent + sum(len(picks.measured) for picks in found),
        "adapted_to": known.spent,
        "limits": [
            {
                "limit": picks.best.limit,
                "feasible": picks.feasible,
                "arch": picks.best.arch,
                "accuracy": picks.best.score,
                "predicted": picks.best.predicted.value,
                "std": picks.best.predicted.std,
                "measured": picks.best.measured,
                "margin": picks.best.margin,
                "promised": picks.promised,
                "finalists": [_finalist(pick) for pick in picks.measured],
            }
            for picks in found
        ],
    }


def _finalist(pick: Pick) -> dict[str, Any]:
    return {"arch": pick.arch, "accuracy": pick.score, "measured": pick.measured}


def _print(known: KnownDevice, found: list[Picks]) -> None:
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    heads = ("limit (ms)", "", "accuracy", "predicted (ms)", "measured (ms)", "margin", "finalists")
    for head in heads:
        table.add_column(head, justify="right" if head else "left")
    table.add_column("arch")
    for picks in found:
        best = picks.best
        kept = Text("kept", style="green") if best.keeps else Text("broken", style="bold red")
        broken = f", {len(picks.violations)} too slow" if picks.violations else ""
        table.add_row(
            f"{best.limit:g}",
            kept,
            f"{best.score:.4g}",
            f"{best.predicted.value:.4g} ± {best.predicted.std:.2g}",
            "" if best.measured is None else f"{best.measured:.4g}",
            f"{best.margin:.1%}",
            f"{len(picks.measured)} measured{broken}",
            Text(short_arch(best.arch)),
        )
    print_wide(table)
    finals = sum(len(picks.measured) for picks in found)
    spent = (
        f"{count_text(known.spent, 'measurement')} to know {known.device}, {finals} of finalists"
    )
    say(f"{spent}; known before: {known.told}")
