"""`hwnas profile`: a whole space measured part by part, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli._console import count_text, err, out, print_json, say
from hwnas.cli._options import DEVICE_HELP, JsonOption, ShapeOption, SpaceArgument, TaskOption
from hwnas.errors import ModelFault, UsageError

if TYPE_CHECKING:
    from hwnas.cost import Progress, SpaceParts
    from hwnas.device import Calibration, Device

EPILOG = (
    "Example: hwnas profile proxylessnas --input-shape 3,224,224 --device pi --out pi.npz; then "
    "hwnas sample proxylessnas --cost latency@pi=pi.npz --budget 'latency@pi <= 30 ms'"
)


class GranularityName(str, Enum):
    """The granularities that `--granularity` knows."""

    auto = "auto"
    block = "block"
    unit = "unit"


def profile(
    space: SpaceArgument,
    device: Annotated[
        str, typer.Option("--device", metavar="DEVICE", help=f"{DEVICE_HELP}.")
    ] = "local",
    to: Annotated[Path, typer.Option("--out", metavar="FILE", help="The table to write.")] = Path(
        "latency.npz"
    ),
    task: TaskOption = None,
    input_shape: ShapeOption = None,
    granularity: Annotated[
        GranularityName,
        typer.Option(
            "--granularity",
            metavar="NAME",
            help="block, unit (a convolution with its norm and activation), or auto: blocks, "
            "unless they are more than a thousand.",
        ),
    ] = GranularityName.auto,
    time_cap: Annotated[
        float,
        typer.Option("--time-cap", metavar="S", help="Seconds to time one part, at the most."),
    ] = 0.7,
    calibrate: Annotated[
        int,
        typer.Option(
            "--calibrate",
            min=0,
            metavar="N",
            help="Measure N whole networks as well, and correct the table by them; 10 are enough.",
        ),
    ] = 0,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            metavar="FILE",
            help="Where measurements are kept and found again; by default your own, in the cache.",
            show_default=False,
        ),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing",
            metavar="",
            help="Go on without parts that cannot be measured; archs that have one rank last.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", metavar="", help="Only say how many parts there are to measure."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Measure every distinct part of a space once: a table of all its latencies."""
    from hwnas.cli._subject import space_and_shape
    from hwnas.cost import SpaceParts, calibrated, expected_seconds, measure_parts, pending
    from hwnas.device import MeasurementStore, Timing
    from hwnas.jobs import find_device, open_at_hand

    if calibrate in (1, 2):
        raise UsageError(f"--calibrate {calibrate}: three networks are the least, 10 are enough")
    if to.suffix != ".npz":
        raise UsageError(f"--out {to}: name a file that ends in .npz")
    found, shape = space_and_shape(space, task, input_shape)
    if shape is None:
        raise UsageError("latencies depend on the input: give --task or --input-shape C,H,W")
    spec = find_device(device)
    with (
        open_at_hand(spec, timing=Timing(time_cap=time_cap)) as opened,
        MeasurementStore(store) as kept,
    ):
        parts = SpaceParts(found, (spec.batch_size, *shape), granularity.value)
        left = pending(parts, opened, kept)
        facts: dict[str, Any] = {
            "space": space,
            "device": opened.conditions,
            "input_shape": [spec.batch_size, *shape],
            "granularity": parts.granularity,
            "count": parts.count,
            "pending": len(left),
            "expected_seconds": expected_seconds(len(left), opened),
        }
        if not json:
            _announce(facts, parts, opened)
        if not dry_run:
            with _shown(len(left), quiet=json) as progress:
                profiled = measure_parts(
                    parts, opened, store=kept, allow_missing=allow_missing, progress=progress
                )
            if calibrate:
                if not json:
                    say(f"{calibrate} whole networks")
                with _shown(calibrate, quiet=json) as progress:
                    profiled = calibrated(
                        profiled, opened, calibrate, store=kept, progress=progress
                    )
            profiled.save(to)
            lowest, highest = profiled.table.minimum()[0], profiled.table.maximum()[0]
            facts |= {
                "seconds": profiled.seconds,
                "table": str(to),
                "missing": [str(variant) for variant in profiled.missing],
                "lowest": lowest,
                "highest": highest,
                "calibration": _error(profiled.calibration),
            }
            if not json:
                for one in facts["missing"]:
                    say(f"missing: {one}")
                size = count_text(found.size(), "arch")
                say(f"{to}: the latencies of {size}, from {lowest:.4g} to {highest:.4g} ms")
                if (line := facts["calibration"]) is not None:
                    low, high = line["interval"]
                    say(
                        f"error on networks that were held out: {line['error']:.2%} "
                        f"({low:.2%} to {high:.2%}); by FLOPs alone: {line['flops_error']:.2%}"
                    )
    if json:
        print_json(facts)


def _error(line: Calibration | None) -> dict[str, Any] | None:
    """What a calibration says of itself, held against that of FLOPs."""
    if line is None:
        return None
    baseline = line.baseline
    return {
        "offset": line.offset,
        "slope": line.slope,
        "error": line.error,
        "interval": line.error_interval(),
        "flops_error": None if baseline is None else baseline.error,
    }


def _announce(facts: dict[str, Any], parts: SpaceParts, device: Device) -> None:
    from hwnas.report import duration

    where = ", ".join(f"{key} {value}" for key, value in device.conditions.items())
    say(f"{facts['space']} on {where}")
    done, left = facts["count"] - facts["pending"], facts["pending"]
    about = f"about {duration(round(facts['expected_seconds']))}"
    before = f", {done} of them measured before" if done else ""
    after = f": {about} for {'the other ' if done else ''}{left}" if left else ""
    say(f"{count_text(facts['count'], f'distinct {parts.granularity}')}{before}{after}")


@contextmanager
def _shown(total: int, *, quiet: bool) -> Iterator[Progress | None]:
    """A bar with the time that is left; where there is no terminal, a line per ten measurements."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    if quiet or not total:
        yield None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(elapsed_when_finished=True))
    live = out.is_terminal
    with Progress(*columns, console=out, transient=True, disable=not live) as bar:
        task = bar.add_task("", total=total)
        done = 0

        def progress(variant: Any, result: Any) -> None:
            nonlocal done
            if isinstance(result, ModelFault):
                say(f"{variant}: {result}", bar.console if live else err)
                return
            done += 1
            bar.update(task, completed=done)
            if not live and (done % 10 == 0 or done == total):
                say(f"{done} of {total}")

        yield progress
