"""`hwnas predict train`: a predictor fitted on source devices, and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli._console import count_text, say
from hwnas.cli._options import SeedOption
from hwnas.cli._predict_options import OwnSpaceOption

EPILOG = "Example: hwnas predict train nasbench201.safetensors --to fitted --without pixel2"


def train(
    sources: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCES",
            help="Latencies of devices, as hwnas predict import and measure write them.",
            show_default=False,
        ),
    ],
    to: Annotated[
        Path, typer.Option("--to", metavar="FOLDER", help="To write.", show_default=False)
    ],
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="NAME", help="The kind of predictor.", show_default=False),
    ] = None,
    space: OwnSpaceOption = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", metavar="NAME", help="Fit on this device; may be repeated."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="NAME", help="Leave this one out; may be repeated."),
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Fit a predictor on source devices and keep it, for hwnas predict adapt and test."""
    from hwnas.predict import DEFAULT, load_sources, make_predictor

    table = load_sources(sources, space)
    table.only(without or [])
    table = table.only([d for d in device or table.devices if d not in (without or [])])
    predictor = make_predictor(method or DEFAULT, seed)
    predictor.fit(table)
    predictor.save(to)
    say(f"{to}: {predictor.name}, fitted on {count_text(len(table.devices), 'device')}")
