"""`hwnas predict adapt`: a device known from a few measurements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from hwnas.cli._console import count_text, print_json, say
from hwnas.cli._options import (
    JsonOption,
    ShapeOption,
    SpaceArgument,
    TaskOption,
)
from hwnas.cli._predict_options import DeviceOption, StoreOption, measuring, shaped_space
from hwnas.errors import UsageError

if TYPE_CHECKING:
    from hwnas.predict import AdaptedPredictor, LatencyPredictor
    from hwnas.space import SearchSpace

EPILOG = (
    "Example: hwnas predict adapt nasbench201 --device phone -n 10 --to phone; then "
    "hwnas search nasbench201 ... --cost latency@phone=phone --budget 'latency@phone <= 8 ms'"
)


def adapt(
    space: SpaceArgument,
    device: DeviceOption = "local",
    n: Annotated[int, typer.Option("-n", min=1, metavar="N", help="How many to measure.")] = 10,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FOLDER",
            help="Where the adapted predictor goes; by default predictors/SPACE-DEVICE.",
            show_default=False,
        ),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(
            "--sources",
            metavar="FILE",
            help="Latencies of other devices, as hwnas predict import and measure write them.",
            show_default=False,
        ),
    ] = None,
    predictor: Annotated[
        Path | None,
        typer.Option(
            "--predictor",
            metavar="FOLDER",
            help="A fitted predictor, as hwnas predict train writes it.",
            show_default=False,
        ),
    ] = None,
    prior: Annotated[
        bool,
        typer.Option(
            "--prior",
            metavar="",
            help="The prior that comes with the space (see hwnas predict cards), or an error.",
        ),
    ] = False,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            metavar="NAME",
            help="The kind of predictor to fit, where there is neither predictor nor prior.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="ERROR",
            help="Go on after N, where it tells the most, until half of the predictions should be "
            "within this of the truth: 5%.",
            show_default=False,
        ),
    ] = None,
    at_most: Annotated[
        int, typer.Option("--at-most", min=1, metavar="N", help="Measurements, however it stands.")
    ] = 100,
    task: TaskOption = None,
    input_shape: ShapeOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Measure a few networks of a space on a device, and predict the latencies of all others.

    What is known before: the sources or the predictor that you name, else the prior that comes
    with the space, else the physics of the networks alone. A run that was cut off goes on where it
    was.
    """
    from hwnas.device import MeasurementStore
    from hwnas.jobs import adapt, candidates_for

    check_known(sources, predictor, prior=prior, method=method)
    error = None if until is None else _share(until)
    found, shape, known, told = known_before(
        space, task, input_shape, sources, predictor, prior=prior, method=method
    )
    if not json:
        say(f"known before: {told}")
    with (
        MeasurementStore(store) as kept,
        measuring(n, quiet=json) as progress,
    ):
        adapted = adapt(
            known,
            found,
            device,
            n,
            input_shape=shape,
            until=error,
            at_most=max(n, at_most),
            store=kept,
            progress=progress,
        )
    folder = to or Path("predictors") / f"{_stem(space)}-{adapted.device}"
    adapted.save(folder)
    expected = _expected(adapted, candidates_for(found))
    if json:
        print_json(_facts(space, adapted, folder, told, expected))
        return
    _print(adapted, expected, error)
    usable = f"--cost latency@{adapted.device}={folder}"
    say(f"{folder}: use it as {usable}")


def _share(text: str) -> float:
    """`5%`, `5 %` or `0.05` as a number."""
    percent = text.strip().endswith("%")
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        raise UsageError(f"--until {text}: write a share, such as 5% or 0.05") from None
    value = value / 100 if percent else value
    if not 0 < value < 1:
        raise UsageError(f"--until {text}: it must be above 0 and below 100%")
    return value


def _stem(reference: str) -> str:
    return reference.rpartition(":")[2].rpartition(".")[2]


def check_known(
    sources: Path | None, predictor: Path | None, *, prior: bool, method: str | None = None
) -> None:
    """Refuse options that say twice what is known before.

    Raises:
        UsageError: they do.
    """
    given = [
        name
        for name, on in (("sources", sources), ("predictor", predictor), ("prior", prior))
        if on
    ]
    if len(given) > 1:
        raise UsageError(f"--{given[0]} and --{given[1]}: give one of them")
    if method is not None and given and given != ["sources"]:
        raise UsageError(f"--method and --{given[0]}: that has its method already")


def known_before(
    reference: str,
    task: str | None,
    input_shape: str | None,
    sources: Path | None,
    predictor: Path | None,
    *,
    prior: bool,
    method: str | None,
) -> tuple[SearchSpace, tuple[int, ...], LatencyPredictor, str]:
    """The space, the shape of its inputs, what is known before, and that in words."""
    from hwnas.predict import known_predictor, load_predictor, load_prior, load_sources

    loaded, table, told = None, None, "the physics of the networks alone, no other device"
    if predictor is not None:
        loaded, told = load_predictor(predictor, reference), f"the predictor in {predictor}"
    elif sources is not None:
        table = load_sources(sources, reference)
        told = f"{count_text(len(table.devices), 'device')} of {sources}"
    elif prior or (method is None and _has_prior(reference, task, input_shape)):
        loaded, told = load_prior(reference), f"the prior of {reference}"
    at = getattr(loaded or table, "input_shape", None)
    found, shape, classes = shaped_space(reference, task, input_shape, at)
    if loaded is not None and at not in (None, shape):
        raise UsageError(f"{told} is about inputs of {_text(at)}, not {_text(shape)}")
    known = loaded or known_predictor(
        reference, table, method=method, input_shape=shape, num_classes=classes
    )
    return found, shape, known, f"{told} ({known.name})"


def _has_prior(reference: str, task: str | None, input_shape: str | None) -> bool:
    """Whether a prior comes with the space, for inputs of that shape."""
    from hwnas.predict import prior_card, prior_spaces

    if reference not in prior_spaces():
        return False
    at = prior_card(reference).input_shape
    return at in (None, shaped_space(reference, task, input_shape, at)[1])


def _text(shape: Sequence[int]) -> str:
    return ",".join(map(str, shape))


def _expected(adapted: AdaptedPredictor, archs: list[Any]) -> dict[str, float | None]:
    from hwnas.predict import expected_error

    told = adapted.predict(archs)
    return {share: expected_error(told, float(share)) for share in ("0.5", "0.9")}


def _facts(
    space: str,
    adapted: AdaptedPredictor,
    folder: Path,
    known: str,
    expected: dict[str, float | None],
) -> dict[str, Any]:
    return {
        "space": space,
        "device": dict(adapted.conditions),
        "known": known,
        "samples": [
            {"arch": one.arch, "latency": one.latency, "low": one.low, "high": one.high}
            for one in adapted.samples
        ],
        "expected_error": expected,
        "folder": str(folder),
    }


def _print(
    adapted: AdaptedPredictor, expected: dict[str, float | None], wanted: float | None
) -> None:
    half, most = expected["0.5"], expected["0.9"]
    count = count_text(len(adapted.samples), "measurement")
    if half is None or most is None:
        say(Text(f"{count}; this predictor does not say how far it errs", style="yellow"))
        return
    say(f"{count}; expected error: {half:.1%} or less in half of all archs, {most:.1%} in 90 %")
    if wanted is not None and half > wanted:
        say(Text(f"that is more than the {wanted:.1%} asked for", style="yellow"))
