"""What the commands of `hwnas predict` have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli._console import err, out, say
from hwnas.cli._options import DEVICE_HELP
from hwnas.errors import ModelFault, UsageError

if TYPE_CHECKING:
    from hwnas.jobs import ArchProgress
    from hwnas.space import SearchSpace

DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help=f"{DEVICE_HELP}; or module:name of a Device of your own.",
    ),
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="FILE",
        help="Where measurements are kept and found again; by default your own, in the cache.",
        show_default=False,
    ),
]


OwnSpaceOption = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="SPACE",
        help="The space of the sources; needed if it is your own, and not one of the zoo.",
        show_default=False,
    ),
]


def shaped_space(
    reference: str, task: str | None, input_shape: str | None, known: tuple[int, ...] | None = None
) -> tuple[SearchSpace, tuple[int, ...], int | None]:
    """The space, the shape of one input, and the number of classes where a task tells it.

    Args:
        known: the shape if nothing says another; else the space's own.

    Raises:
        UsageError: nothing tells the shape.
    """
    from hwnas.cli._shape import parse_shape
    from hwnas.tasks import task_from_spec
    from hwnas.zoo import default_input_shape, load_space

    data = task_from_spec(task) if task else None
    given = parse_shape(input_shape) if input_shape else tuple(data.input_shape) if data else None
    shape = given or known or default_input_shape(reference)
    if shape is None:
        raise UsageError("latencies depend on the input: give --task or --input-shape C,H,W")
    classes = data.num_classes if data else None
    return load_space(reference, shape, classes), shape, classes


def latency_text(value: float, low: float, high: float) -> str:
    """A latency with its interval: `0.412 ms (0.409 to 0.415)`."""
    return f"{value:.4g} ms ({low:.4g} to {high:.4g})"


def short_arch(arch: Mapping[str, Any], width: int = 70) -> str:
    """An arch on one line, cut where it is long."""
    from hwnas.cli._console import arch_text
    from hwnas.report import one_line

    text = one_line(arch_text(arch))
    return text if len(text) <= width else f"{text[: width - 3]}..."


@contextmanager
def measuring(total: int, *, quiet: bool) -> Iterator[ArchProgress | None]:
    """A line for each arch that is measured, or cannot be; and a bar where there is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    if quiet:
        yield None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(elapsed_when_finished=True))
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("", total=total)
        done = 0

        def progress(arch: Any, result: Any, before: bool) -> None:
            nonlocal done
            if isinstance(result, ModelFault):
                say(
                    f"left out: {short_arch(arch)}: {result}",
                    bar.console if out.is_terminal else err,
                )
                return
            done += 1
            bar.update(task, completed=done, total=max(total, done))
            told = latency_text(result.median, result.low, result.high)
            note = "  measured before" if before else ""
            say(f"{done:>3}  {told}  {short_arch(arch)}{note}", bar.console)

        yield progress
