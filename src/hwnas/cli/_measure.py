"""`hwnas measure`: the latency of a model, or of an exported network once more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from hwnas.cli._console import NOTHING_FEASIBLE, print_json, print_wide, say
from hwnas.cli._shape import parse_shape
from hwnas.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from hwnas.device import Inputs, Measurement, Model

EPILOG = "Example: hwnas measure net.onnx --runtime openvino --precision int8 --batch-size 1,8"

_MODEL = "Of a model"


def measure(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A folder written by hwnas export; or an ONNX file; or module:name or "
            "file.py:name of an nn.Module or of a function that makes one.",
            show_default=False,
        ),
    ],
    device: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE",
            help="A name of hwnas device list, which says runtime, precision, threads, batch size "
            "and accelerator; in place of those options.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    runtime: Annotated[
        str,
        typer.Option(
            metavar="RUNTIME",
            help="onnxruntime, openvino, executorch, torch or torch-compile.",
            rich_help_panel=_MODEL,
        ),
    ] = "onnxruntime",
    precision: Annotated[
        str,
        typer.Option(
            metavar="PRECISION",
            help="fp32, fp16, bf16, int8 or int8-dynamic, as far as the runtime has it.",
            rich_help_panel=_MODEL,
        ),
    ] = "fp32",
    threads: Annotated[
        int, typer.Option(metavar="N", help="Of the runtime.", rich_help_panel=_MODEL)
    ] = 1,
    batch_size: Annotated[
        str,
        typer.Option(
            metavar="N[,N...]",
            help="Items per call; several are measured after one another.",
            rich_help_panel=_MODEL,
        ),
    ] = "1",
    accelerator: Annotated[
        str, typer.Option(metavar="NAME", help="cpu or cuda.", rich_help_panel=_MODEL)
    ] = "cpu",
    input_shape: Annotated[
        str | None,
        typer.Option(
            metavar="C,H,W",
            help="Of one input, without the batch; an ONNX file knows it.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    energy: Annotated[
        bool,
        typer.Option(
            "--energy",
            metavar="",
            help="Measure energy, too, where the host or the GPU has a meter that may be read.",
            rich_help_panel=_MODEL,
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")] = False,
) -> None:
    """Measure a model; or an exported network again, held against its budget."""
    if ":" not in what and not what.endswith(".onnx"):
        _refuse_options(context, what)
        _measure_again(Path(what), json=json)
        return
    from hwnas.device import LocalDevice, WorkerDevice
    from hwnas.jobs import find_device, open_at_hand

    opened: list[WorkerDevice]
    if device is not None:
        _refuse_with_device(context)
        opened = [open_at_hand(find_device(device))]
    else:
        opened = [
            LocalDevice(
                runtime=runtime,
                precision=precision,
                threads=threads,
                batch_size=size,
                accelerator=accelerator,
                energy=energy,
            )
            for size in _sizes(batch_size)
        ]
    taken = []
    for one in opened:
        with one:
            model, inputs = _load(what, input_shape, one.batch_size)
            taken += one.measure([model], inputs)
    if json:
        print_json({"model": what, "measurements": [one.to_dict() for one in taken]})
        return
    where = taken[0].environment
    how = f"{where.precision}, threads={where.threads}"
    say(f"{what}: {where.runtime} {where.runtime_version}, {how}")
    print_wide(_latencies(taken, energy=energy))
    for warning in dict.fromkeys(text for one in taken for text in one.warnings):
        say(Text(warning, style="yellow"))


def _given(context: typer.Context, *but: str) -> list[str]:
    return [
        f"--{name.replace('_', '-')}"
        for name in context.params
        if name not in ("what", "json", *but)
        and getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]


def _refuse_with_device(context: typer.Context) -> None:
    if given := _given(context, "device", "input_shape"):
        raise UsageError(f"{', '.join(given)}: --device says that already; leave one of them out")


def _refuse_options(context: typer.Context, what: str) -> None:
    if given := _given(context):
        raise UsageError(
            f"{', '.join(given)}: a folder such as {what} is measured on the devices of its search"
        )


def _measure_again(path: Path, *, json: bool) -> None:
    from hwnas.report import remeasure

    facts = remeasure(path)
    if json:
        print_json(facts)
    elif facts["constraints"]:
        print_wide(_constraints(facts["constraints"]))
    else:
        say(f"{path} was searched without a budget: there is nothing to hold it against")
    if not facts["feasible"]:
        raise typer.Exit(NOTHING_FEASIBLE)


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise UsageError(f"--batch-size '{text}': write whole numbers above zero, such as 1,8,32")
    return sizes


def _load(what: str, input_shape: str | None, batch_size: int) -> tuple[Model, Inputs]:
    """The model, and noise as its inputs: always the same."""
    import torch

    from hwnas.device import example_inputs

    if what.endswith(".onnx"):
        if input_shape is not None:
            raise UsageError("--input-shape: an ONNX file knows the shape of its inputs")
        return Path(what), example_inputs(what, batch_size)
    if input_shape is None:
        raise UsageError(f"{what}: say the shape of one input, such as --input-shape 3,224,224")
    shape = parse_shape(input_shape)
    noise = torch.randn(batch_size, *shape, generator=torch.Generator().manual_seed(0))
    return load_module(what), (noise,)


def load_module(reference: str) -> nn.Module:
    """The module that `module:name` names, or that the function there makes.

    Raises:
        UsageError: there is none.
    """
    import torch
    from torch import nn

    from hwnas import _refs

    model = _refs.load(reference)
    if callable(model) and not isinstance(model, nn.Module):
        torch.manual_seed(0)
        model = model()
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"{reference} is a {type(model).__name__}, not an nn.Module or its factory"
        )
    return model


def _latencies(taken: list[Measurement], *, energy: bool) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    heads: tuple[str, ...] = ("batch", "latency (ms)", "95 %", "p90", "p99", "items/s")
    heads += ("cold start (ms)", "size (MB)", "peak memory (MB)")
    for head in heads + ("energy (mJ)",) * energy:
        table.add_column(head, justify="right")
    for one in taken:
        table.add_row(
            str(one.environment.batch_size),
            f"{one.median:.4g}{'' if one.converged else ' (not converged)'}",
            f"{one.low:.4g} to {one.high:.4g}",
            f"{one.samples.p90:.4g}",
            f"{one.samples.p99:.4g}",
            f"{one.throughput:.4g}",
            _number(one.cold_start_ms),
            _number(one.size_bytes, 1e6),
            _number(one.peak_memory_bytes, 1e6),
            *[_number(one.energy_mj)] * energy,
        )
    return table


def _number(value: float | None, unit: float = 1) -> str:
    return "unavailable" if value is None else f"{value / unit:.3g}"


def _constraints(rows: list[dict[str, Any]]) -> Table:
    from hwnas.budget import format_value
    from hwnas.report import interval_text

    table = Table.grid(padding=(0, 2))
    for row in rows:
        key, unit = row["key"], row["unit"]
        low, high = row["interval"]
        interval = f"(95 %: {interval_text(key, low, high, unit)})" if low < high else ""
        table.add_row(
            Text("kept", style="green") if row["kept"] else Text("broken", style="bold red"),
            Text(row["constraint"]),
            Text("measured" if row["measured"] else "computed"),
            Text(format_value(key, row["value"], unit)),
            Text(interval, style="dim"),
        )
    return table
