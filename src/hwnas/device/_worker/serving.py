"""A measuring process: it loads the models that it is sent, times them, and reports.

Spoken to over stdin and stdout; one request after the other. It ends when the process that started
it does: by the end of file on its stdin and, on Linux, by a signal from the kernel. What loads the
models is a `Worker`: one for this host, one that also runs on hosts that have no hwnas.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from hwnas._pipes import die_with_parent, private_pipes, receive, send
from hwnas.device._faults import fault_of
from hwnas.device._timing.energy import EnergyMeter, energy_of, find_meter
from hwnas.device._timing.engine import Samples, Series, time_models
from hwnas.device._timing.environment import conditions
from hwnas.device._timing.memory import host_memory, limit_memory
from hwnas.device._timing.runnable import Runnable
from hwnas.device._timing.timing import Timing
from hwnas.errors import HwnasError, describe

_M_MMAP_THRESHOLD = -3


@dataclass(frozen=True)
class Loaded:
    """Copies of a model to be timed, and what is sent back: its outputs, as bytes, or nothing."""

    copies: Sequence[Runnable]
    outputs: bytes = b""


class Worker(ABC):
    """Loads models in this process, by the settings that were sent."""

    canary: Sequence[Runnable]
    greeting: Sequence[bytes] = ()
    """What is sent back when it is ready."""

    @abstractmethod
    def load(self, entry: dict[str, Any], parts: list[bytes]) -> Loaded:
        """The model of a request's entry; it may raise anything."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """The fields of an `Environment` that the runtime tells."""


def serve(make: Callable[[dict[str, Any], list[bytes]], Worker]) -> None:
    """Serve requests until stdin ends; `make` makes the worker of the settings that come first."""
    requests, replies = private_pipes()
    # Ctrl-C reaches the whole process group; what becomes of the worker is the device's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(int(sys.argv[1]))
    _keep_memory()
    incoming: queue.Queue[tuple[dict[str, Any], list[bytes]]] = queue.Queue()
    threading.Thread(target=_read, args=(requests, incoming), daemon=True).start()
    settings, parts = incoming.get()
    _pin(settings["threads"])
    if settings["accelerator"] == "cpu":  # a GPU's driver maps far more than it uses
        limit_memory(settings["memory_limit"] or host_memory())
    try:
        worker = make(settings, parts)
    except HwnasError as error:
        send(replies, {"event": "error", "message": str(error)})
        return
    send(replies, {"event": "ready"}, worker.greeting)
    while True:
        header, parts = incoming.get()
        try:
            reply, outputs = _measure(worker, settings, header, parts, replies)
        except Exception as error:  # noqa: BLE001 - the canary; it is reported
            send(replies, {"event": "error", "message": describe(error)})
        else:
            send(replies, {"event": "done", **reply}, outputs)


def _measure(
    worker: Worker,
    settings: dict[str, Any],
    header: dict[str, Any],
    parts: list[bytes],
    replies: BinaryIO,
) -> tuple[dict[str, Any], list[bytes]]:
    """Samples or a fault for each model, with the conditions; and the outputs of each model."""
    count = len(header["models"])
    results: list[dict[str, Any]] = [{} for _ in range(count)]
    outputs = [b""] * count
    loaded: dict[int, Sequence[Runnable]] = {}
    for index, model in enumerate(header["models"]):
        send(replies, {"event": "step", "where": model["where"], "model": index})
        try:
            one = worker.load(model, parts)
        except Exception as error:  # noqa: BLE001 - a model may raise anything
            results[index] = _fault(error, model["where"])
        else:
            loaded[index], outputs[index] = one.copies, one.outputs
    if not loaded:
        return {"results": results}, outputs
    send(replies, {"event": "step", "where": "while timing", "count": len(loaded)})
    series, canary, usage = time_models(
        list(loaded.values()), worker.canary, Timing.from_dict(header["timing"])
    )
    meter = find_meter(settings["accelerator"]) if settings["energy"] else None
    for index, one_series in zip(loaded, series):  # noqa: B905 - Python 3.8
        where = header["models"][index]["where"]
        if meter is not None:
            send(replies, {"event": "step", "where": where, "model": index})
        results[index] = _result(one_series, where, meter)
    environment = {
        **conditions(usage, settings["threads"]),
        **worker.facts(),
        "threads": settings["threads"],
        "batch_size": settings["batch_size"],
        "precision": settings["precision"],
        "clock": worker.canary[0].clock,
    }
    reply = {
        "results": results,
        "canary": canary,
        "usage": asdict(usage),
        "environment": environment,
    }
    return reply, outputs


def _result(series: Series, where: str, meter: EnergyMeter | None) -> dict[str, Any]:
    try:
        if series.error is not None:
            raise series.error
        if meter is not None:
            series.copies[0].energy = energy_of(series.copies[0], meter)
    except Exception as error:  # noqa: BLE001 - a model may raise anything
        return _fault(error, where)
    return {"samples": Samples.of(series).to_dict()}


def _fault(error: Exception, where: str) -> dict[str, Any]:
    fault = fault_of(error, where)
    return {"fault": {"message": str(fault), "kind": fault.kind}}


def _keep_memory() -> None:
    """Let malloc keep large activations; the environment variable is capped at 32 MiB by some."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)


def _pin(threads: int) -> None:
    """Run on as many CPUs as threads: the last ones, since the first serve most interrupts."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[-threads:])


def _read(stream: BinaryIO, incoming: queue.Queue[tuple[dict[str, Any], list[bytes]]]) -> None:
    try:
        while True:
            incoming.put(receive(stream))
    except (EOFError, OSError):
        os._exit(0)
