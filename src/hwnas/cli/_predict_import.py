"""`hwnas predict import`: latencies that were measured elsewhere, checked."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli._console import ERROR, count_text, error, print_json, print_wide, say
from hwnas.cli._options import JsonOption, ShapeOption, TaskOption

if TYPE_CHECKING:
    from hwnas.predict import Imported

EPILOG = "Example: hwnas predict import HELP/data --space nasbench201 --to nasbench201.safetensors"
_STORES = (".sqlite", ".db")


def import_(
    what: Annotated[
        Path,
        typer.Argument(
            metavar="WHAT",
            help="A folder in the layout of HELP's data; a .csv or .parquet file with a column "
            "'arch' and either 'device' and 'latency' or a column for each device, in ms; a table "
            "of HAT; or a measurement store.",
            show_default=False,
        ),
    ],
    space: Annotated[
        str,
        typer.Option(
            "--space",
            metavar="SPACE",
            help="The archs' space: one of the zoo, or module:name or file.py:name of your own.",
            show_default=False,
        ),
    ],
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="FILE",
            help="The .safetensors file to write; if it is there, the devices are added to it.",
            show_default=False,
        ),
    ],
    device: Annotated[
        list[str] | None,
        typer.Option("--device", metavar="NAME", help="Take this device alone; may be repeated."),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            metavar="",
            help="Refuse a device with broken rows, where they are made missing by default.",
        ),
    ] = False,
    replace: Annotated[
        bool,
        typer.Option("--replace", metavar="", help="Take the place of devices that FILE has."),
    ] = False,
    task: TaskOption = None,
    input_shape: ShapeOption = None,
    json: JsonOption = False,
) -> None:
    """Check latencies that were measured elsewhere, and keep them as sources for predictors.

    A device that is of no use is refused, and the others are taken; the exit code is 1 then.
    """
    from hwnas.cli._subject import shape_and_classes
    from hwnas.predict import add_sources

    shape, classes = shape_and_classes(task, input_shape)
    imported = _read(what, space, shape, classes, device or [], strict)
    table = add_sources(imported.table, to, again=replace)
    if json:
        print_json(_facts(imported, to))
    else:
        _print(imported)
        archs = count_text(len(table.archs), "arch")
        say(f"{to}: {count_text(len(table.devices), 'device')}, {archs} of {space}")
    for name, why in imported.refused.items():
        error(f"refused '{name}': {why}")
    if imported.refused:
        raise typer.Exit(ERROR)


def _read(
    what: Path,
    space: str,
    shape: tuple[int, ...] | None,
    classes: int | None,
    devices: list[str],
    strict: bool,
) -> Imported:
    """What `what` holds; a measurement store is exported first, since `predict` has no devices."""
    from hwnas.device import MeasurementStore, export_store
    from hwnas.predict import read_sources

    read = partial(
        read_sources,
        space=space,
        devices=devices,
        strict=strict,
        input_shape=shape,
        num_classes=classes,
    )
    if what.suffix not in _STORES or not what.is_file():
        return read(what)
    with tempfile.TemporaryDirectory() as folder, MeasurementStore(what) as store:
        file = Path(folder) / f"{what.stem}.csv"
        export_store(store, file)
        return read(file)


def _facts(imported: Imported, to: Path) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "file": str(to),
        "space": imported.table.space,
        "archs": len(imported.table.archs),
        "devices": [asdict(one) for one in imported.devices],
        "refused": dict(imported.refused),
        "notes": list(imported.notes),
    }


def _print(imported: Imported) -> None:
    from rich.table import Table
    from rich.text import Text

    from hwnas.report import one_line

    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("device")
    for head in ("measured", "distinct", "median (ms)", "resolution (ms)"):
        table.add_column(head, justify="right")
    for one in imported.devices:
        step = "" if one.resolution is None else f"{one.resolution:g}"
        numbers = (f"{one.measured:,}", f"{one.distinct:,}", f"{one.median:.4g}", step)
        table.add_row(Text(one_line(one.device)), *numbers)
    print_wide(table)
    for one in imported.devices:
        for note in one.notes:
            say(Text(one_line(f"{one.device}: {note}"), style="yellow"))
    for note in imported.notes:
        say(Text(one_line(note), style="yellow"))
