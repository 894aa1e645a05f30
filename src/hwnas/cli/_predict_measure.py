"""`hwnas predict measure`: a device of your own as a source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli._console import count_text, print_json, say
from hwnas.cli._options import (
    JsonOption,
    SeedOption,
    ShapeOption,
    SpaceArgument,
    TaskOption,
)
from hwnas.cli._predict_options import DeviceOption, StoreOption, measuring, shaped_space

EPILOG = (
    "Example: hwnas predict measure net.py:space --input-shape 3,64,64 --device 'one=onnxruntime' "
    "-n 60 --to sources.safetensors"
)


def measure(
    space: SpaceArgument,
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="FILE",
            help="The .safetensors file to write; if it is there, the device is added to it.",
            show_default=False,
        ),
    ],
    device: DeviceOption = "local",
    n: Annotated[int, typer.Option("-n", min=3, metavar="N", help="How many to measure.")] = 60,
    replace: Annotated[
        bool, typer.Option("--replace", metavar="", help="Take the place of a device in FILE.")
    ] = False,
    seed: SeedOption = 0,
    task: TaskOption = None,
    input_shape: ShapeOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Measure random networks of a space on a device, as a source for predictors.

    Another machine, runtime, batch size or number of threads is another device. Devices that are
    measured with the same seed measure the same networks. A run that was cut off goes on where it
    was.
    """
    from hwnas.device import MeasurementStore
    from hwnas.jobs import device_named, measure_archs, random_archs
    from hwnas.predict import Provenance, SourceTable, add_sources

    found, shape, classes = shaped_space(space, task, input_shape)
    named = device_named(device)
    archs = random_archs(found, seed)
    n = min(n, len(archs))
    with MeasurementStore(store) as kept, measuring(n, quiet=json) as progress:
        measured = measure_archs(
            found, archs, named, n, input_shape=shape, store=kept, progress=progress
        )
        where = Provenance(f"measured, {kept.path.name}")
    table = SourceTable.of(
        space,
        {named.name: measured},
        provenance={named.name: where},
        input_shape=shape,
        num_classes=classes,
    )
    whole = add_sources(table, to, again=replace)
    if json:
        print_json(
            {
                "file": str(to),
                "device": named.name,
                "measured": [{"arch": arch, "latency": latency} for arch, latency in measured],
            }
        )
        return
    devices, rows = count_text(len(whole.devices), "device"), count_text(len(whole.archs), "arch")
    say(f"{to}: {devices}, {rows} of {space}")
