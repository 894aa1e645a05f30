"""`hwnas device`: devices by name, and how far their numbers can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from hwnas.cli._console import err, print_json, print_wide, say
from hwnas.cli._options import JsonOption

if TYPE_CHECKING:
    from hwnas.device import Health

app = typer.Typer(help="Devices by name, for --device NAME; and how far they can be trusted.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]


@app.command()
def add(
    name: NameArgument,
    runtime: Annotated[
        str, typer.Option(metavar="RUNTIME", help="What executes the models.")
    ] = "onnxruntime",
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Of the runtime.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Items per call.")] = 1,
    precision: Annotated[str, typer.Option(metavar="PRECISION", help="Such as int8.")] = "fp32",
    accelerator: Annotated[str, typer.Option(metavar="NAME", help="cpu or cuda.")] = "cpu",
    via: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="What gives a shell on the device's host, such as 'ssh pi@board', "
            "'docker exec -i box sh' or 'adb shell'; by default it is this host.",
        ),
    ] = None,
    python: Annotated[str, typer.Option(metavar="PYTHON", help="The Python there.")] = "python3",
    replace: Annotated[
        bool, typer.Option("--replace", metavar="", help="Change the device of that name.")
    ] = False,
) -> None:
    """Give a device a name. Nothing is connected yet: see hwnas device check."""
    from hwnas.jobs import DeviceRegistry, DeviceSpec, open_at_hand

    parsed = DeviceSpec.parse(name)
    spec = DeviceSpec(
        name=parsed.name,
        runtime=runtime,
        threads=threads,
        batch_size=batch_size,
        precision=precision,
        accelerator=accelerator,
        via=via,
        python=python,
    )
    open_at_hand(spec).close()  # a combination that there is not is told now
    registry = DeviceRegistry()
    registry.add(spec, replace=replace)
    say(f"added '{spec.name}' to {registry.path}")


@app.command()
def remove(name: NameArgument) -> None:
    """Forget a device."""
    from hwnas.jobs import DeviceRegistry

    DeviceRegistry().remove(name)


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """The devices that have a name."""
    from hwnas.jobs import DeviceRegistry

    registry = DeviceRegistry()
    devices = list(registry.all().values())
    if json:
        print_json([device.model_dump() for device in devices])
        return
    if not devices:
        say(f"no device in {registry.path}; add one with hwnas device add NAME")
        return
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for head in ("name", "runtime", "threads", "batch", "precision", "accelerator", "via"):
        table.add_column(head)
    for one in devices:
        cells = (one.name, one.runtime, one.threads, one.batch_size, one.precision, one.accelerator)
        table.add_row(*(Text(str(cell)) for cell in cells), Text(one.via or "this host"))
    print_wide(table)


@app.command()
def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="DEVICE", help="A name, or NAME=RUNTIME?threads=2.", show_default=False
        ),
    ],
    seconds: Annotated[
        float, typer.Option(min=0, metavar="N", help="How long; three sessions at least.")
    ] = 60.0,
    json: JsonOption = False,
) -> None:
    """Measure one network again and again, and say how far a number of this device can be
    trusted."""
    from hwnas.device import check_health
    from hwnas.jobs import DeviceRegistry, find_device, open_at_hand

    spec = find_device(name)
    with open_at_hand(spec) as device:
        status = err.status("measuring ...") if err.is_terminal and not json else None
        if status:
            status.start()
        try:
            health = check_health(device, seconds)
        finally:
            if status:
                status.stop()
    registry = DeviceRegistry()
    if kept := registry.all().get(spec.name) == spec:
        checked = spec.model_copy(update={"process_std": round(health.process_std, 5)})
        registry.add(checked, replace=True)
    if json:
        print_json(_facts(health))
    else:
        _print(name, health, kept=kept)


def _facts(health: Health) -> dict[str, Any]:
    return {
        "verdict": health.verdict,
        "noise": health.noise,
        "process_std": health.process_std,
        "raw_noise": health.raw_noise,
        "drift": health.drift,
        "slowing": health.slowing,
        "contended": health.contended,
        "smallest_difference": health.smallest_difference,
        "advice": health.advice,
        "sessions": [one.to_dict() for one in health.sessions],
    }


def _print(name: str, health: Health, *, kept: bool) -> None:
    where = health.sessions[-1].environment
    faults = max(one.environment.minor_faults or 0 for one in health.sessions)
    rows = (
        ("host", f"{where.cpu}, {where.platform}"),
        ("runtime", f"{where.runtime} {where.runtime_version}, {where.precision}"),
        ("threads", f"{where.threads} of {where.cores} cores, clocked by {where.clock} time"),
        ("sessions", f"{len(health.sessions)}, each in a process of its own"),
        ("noise floor", f"{health.noise:.1%} ({health.raw_noise:.1%} without the canary)"),
        (
            "between processes",
            f"{health.process_std:.1%}, part of each interval{' from now on' if kept else ''}",
        ),
        ("drift", f"the host's speed varied by {health.drift:.0%}"),
        ("contention", f"in {health.contended:.0%} of the sessions"),
        ("page faults", f"at most {faults} while timing"),
        ("CPU clock", "unavailable" if where.cpu_mhz is None else f"{where.cpu_mhz:.0f} MHz"),
        ("temperature", "unavailable" if where.celsius is None else f"{where.celsius:.0f} °C"),
    )
    table = Table.grid(padding=(0, 2))
    for label, text in rows:
        table.add_row(Text(label, style="dim"), Text(text))
    print_wide(table)
    colour = {"good": "green", "fair": "yellow", "poor": "bold red"}[health.verdict]
    say(
        Text.assemble(
            (health.verdict, colour),
            f": of two networks on {name}, one measurement each tells apart what differs by "
            f"{health.smallest_difference:.1%} or more",
        )
    )
    for line in health.advice:
        say(Text(line, style="yellow"))
