"""`hwnas predict train`: a predictor fitted on source devices, and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli._console import count_text, out, say
from hwnas.cli._options import SeedOption
from hwnas.cli._predict_options import OwnSpaceOption
from hwnas.errors import UsageError

if TYPE_CHECKING:
    from hwnas.predict import MetaProgress

EPILOG = "Example: hwnas predict train nasbench201.safetensors --to fitted --without pixel2"

_NETWORKS = ("help", "maml", "meta-sgd")
_META = f"Of methods that train a network ({', '.join(_NETWORKS)})"


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
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows",
            min=1,
            metavar="N",
            help="Of the first N archs of the file alone; by default of all.",
            show_default=False,
        ),
    ] = None,
    seed: SeedOption = 0,
    validation: Annotated[
        list[str] | None,
        typer.Option(
            "--validation",
            metavar="NAME",
            help="Keep the weights that do best on this device, which is not trained on; may be "
            "repeated.",
            rich_help_panel=_META,
        ),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option(
            "--episodes",
            min=1,
            metavar="N",
            help="Episodes of the training.",
            rich_help_panel=_META,
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples",
            min=1,
            metavar="N",
            help="Archs that a device adapts to in each episode.",
            rich_help_panel=_META,
            show_default=False,
        ),
    ] = None,
    on: Annotated[
        str,
        typer.Option("--on", metavar="DEVICE", help="cpu or cuda.", rich_help_panel=_META),
    ] = "cpu",
) -> None:
    """Fit a predictor on source devices and keep it, for hwnas predict adapt and test.

    A training that takes long and was cut off goes on where it was: say the same again.
    """
    from hwnas.predict import DEFAULT, MetaSchedule, load_sources, make_predictor

    table = load_sources(sources, space)
    table.only([*(without or []), *(validation or [])])
    table = table.only([d for d in device or table.devices if d not in (without or [])])
    table = table.rows(range(min(rows or len(table.archs), len(table.archs))))
    name = method or DEFAULT
    if name not in _NETWORKS:
        if validation or episodes is not None or samples is not None or on != "cpu":
            told = "--validation, --episodes, --samples, --on"
            raise UsageError(f"'{name}' trains no network: no {told}")
        predictor: Any = make_predictor(name, seed)
        predictor.fit(table)
        predictor.save(to)
    else:
        schedule = MetaSchedule(
            episodes=episodes or MetaSchedule.episodes, samples=samples or MetaSchedule.samples
        )
        predictor = make_predictor(name, seed, device=on, schedule=schedule)
        checkpoint = to.with_name(f"{to.name}.checkpoint")
        with _shown(schedule.episodes) as progress:
            predictor.fit(
                table, validation=validation or (), checkpoint=checkpoint, progress=progress
            )
        predictor.save(to)
        checkpoint.unlink(missing_ok=True)
    learnt = [d for d in table.devices if d not in (validation or [])]
    say(f"{to}: {predictor.name}, fitted on {count_text(len(learnt), 'device')}")


@contextmanager
def _shown(episodes: int) -> Iterator[Callable[[MetaProgress], None]]:
    """A bar with the time that is left; where there is no terminal, twenty lines in all."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns: Sequence[Any] = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("", total=episodes)

        def progress(state: MetaProgress) -> None:
            told = f"loss {state.loss:.4g}"
            if state.correlation is not None:
                told += f", Spearman on the validation devices {state.correlation:.3f}"
            bar.update(task, completed=state.episode, description=told)
            if not out.is_terminal and state.episode % max(1, episodes // 20) == 0:
                say(f"{state.episode} of {episodes}: {told}")

        yield progress
