"""`hwnas worker`: measures on this machine what jobs elsewhere ask for."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli._console import say
from hwnas.cli._options import JOB_HELP
from hwnas.errors import UsageError

if TYPE_CHECKING:
    from hwnas.jobs import DeviceEvaluator, Evaluator

EPILOG = (
    "Example: hwnas worker --job s3://team/jobs/digits "
    "--device 'pixel6=onnxruntime?threads=2' --idle 3600"
)


def worker(
    job: Annotated[
        list[str],
        typer.Option(
            metavar="URL",
            help=f"{JOB_HELP} May be repeated.",
            show_default=False,
        ),
    ],
    device: Annotated[
        str,
        typer.Option(
            metavar="DEVICE",
            help="The name that the job asks for, and how models run here, as NAME or "
            "NAME=RUNTIME?threads=2&precision=int8; or a name of hwnas device list.",
            show_default=False,
        ),
    ],
    evaluator: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:CLASS",
            help="A subclass of hwnas.jobs.Evaluator, for hardware of your own.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of this worker; by default it is unique.")
    ] = None,
    idle: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="End after so long without a request."),
    ] = None,
    lease: Annotated[
        float,
        typer.Option(
            min=1, metavar="SECONDS", help="Without a sign of life, until others take over."
        ),
    ] = 30.0,
    worker_id: Annotated[
        int | None, typer.Option(metavar="I", help="With --num-workers: every n-th trial only.")
    ] = None,
    num_workers: Annotated[int | None, typer.Option(metavar="N", help="See --worker-id.")] = None,
    max_deviation: Annotated[
        float | None,
        typer.Option(
            metavar="RATIO",
            help="Do not serve if a fixed network takes so much more or less here than on the "
            "device's other workers, such as 0.1; by default the answers say so.",
        ),
    ] = None,
) -> None:
    """Measure on this machine what jobs elsewhere ask for, until they end.

    Any number of workers may serve one device name. Ctrl-C ends this one after the model in hand.
    """
    from hwnas.jobs import QueueWorker, Store, find_device

    if (worker_id is None) != (num_workers is None):
        raise UsageError("--worker-id and --num-workers go together")
    spec = find_device(device)
    serving = QueueWorker(
        [Store(url) for url in job],
        spec.name,
        _evaluator(evaluator, device),
        name=name,
        lease=lease,
        idle=idle,
        part=None if worker_id is None or num_workers is None else (worker_id, num_workers),
        max_deviation=max_deviation,
        on_event=say,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: serving.stop())
    say(f"worker {serving.name} serves '{spec.name}' of {', '.join(job)}")
    count = serving.run()
    say(f"{count} model{'' if count == 1 else 's'} measured")


def _evaluator(reference: str | None, device: str) -> DeviceEvaluator | Evaluator:
    from hwnas import _refs
    from hwnas.jobs import DeviceEvaluator, Evaluator, find_device, open_at_hand

    if reference is None:
        return DeviceEvaluator(open_at_hand(find_device(device)))
    kind = _refs.load(reference)
    if not (isinstance(kind, type) and issubclass(kind, Evaluator)):
        raise UsageError(f"'{reference}' is not a subclass of hwnas.jobs.Evaluator")
    return kind()
