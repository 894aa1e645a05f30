"""The measuring process: `python -m hwnas.device._worker`, spoken to over stdin and stdout.

It measures what the device sends, one request after the other, and ends when the device's process
does: by the end of file on its stdin and, on Linux, by a signal from the kernel.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

import cloudpickle
import safetensors.torch

from hwnas import _plugins
from hwnas._pipes import die_with_parent, private_pipes, receive, send
from hwnas.device._base import Inputs, Model, Runnable, Runtime
from hwnas.device._canary import load_canary
from hwnas.device._energy import energy_of, find_meter
from hwnas.device._engine import Series, time_models
from hwnas.device._faults import fault_of
from hwnas.device._memory import limit_memory
from hwnas.device._summary import summarise
from hwnas.device._timing import Timing
from hwnas.errors import HwnasError, describe

_M_MMAP_THRESHOLD = -3


def main() -> None:
    """Serve requests until stdin ends."""
    requests, replies = private_pipes()
    # Ctrl-C reaches the whole process group; what becomes of the worker is the device's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(int(sys.argv[1]))
    _keep_memory()
    incoming: queue.Queue[tuple[dict[str, Any], list[bytes]]] = queue.Queue()
    threading.Thread(target=_read, args=(requests, incoming), daemon=True).start()
    settings, _ = incoming.get()
    _pin(settings["threads"])
    if settings["memory_limit"] is not None:
        limit_memory(settings["memory_limit"])
    try:
        worker = _Worker(settings, replies)
    except HwnasError as error:
        send(replies, {"event": "error", "message": str(error)})
        return
    send(replies, {"event": "ready"})
    while True:
        header, parts = incoming.get()
        try:
            results = worker.measure(header, parts)
        except Exception as error:  # noqa: BLE001 - the canary or the summary; it is reported
            send(replies, {"event": "error", "message": describe(error)})
        else:
            send(replies, {"event": "done", "results": results})


class _Worker:
    def __init__(self, settings: dict[str, Any], replies: BinaryIO) -> None:
        self._device, self._replies = settings["device"], replies
        self._check, self._batch_size = settings["check"], settings["batch_size"]
        self._timing = _timing(settings["timing"])
        self._runtime: Runtime = _plugins.load("runtimes", settings["runtime"])(
            threads=settings["threads"],
            precision=settings["precision"],
            accelerator=settings["accelerator"],
        )
        self._meter = find_meter(settings["accelerator"]) if settings["energy"] else None
        self._canary = load_canary(self._runtime)

    def measure(self, header: dict[str, Any], parts: list[bytes]) -> list[dict[str, Any]]:
        """A measurement or a fault for each model, as JSON."""
        timing = self._timing if header["timing"] is None else _timing(header["timing"])
        results: list[dict[str, Any]] = [{} for _ in header["models"]]
        loaded: dict[int, Runnable] = {}
        for index, model in enumerate(header["models"]):
            send(self._replies, {"event": "step", "where": model["where"], "model": index})
            try:
                loaded[index] = self._load(model, parts)
            except Exception as error:  # noqa: BLE001 - a model may raise anything
                results[index] = _fault(error, model["where"])
        if not loaded:
            return results
        send(self._replies, {"event": "step", "where": "while timing", "count": len(loaded)})
        series, canary, usage = time_models(list(loaded.values()), self._canary, timing)
        good: dict[int, Series] = {}
        for index, one in zip(loaded, series, strict=True):
            if one.error is None:
                good[index] = one
            else:
                results[index] = _fault(one.error, header["models"][index]["where"])
        if self._meter is not None:
            for index in list(good):
                where = header["models"][index]["where"]
                send(self._replies, {"event": "step", "where": where, "model": index})
                try:
                    loaded[index].energy = energy_of(loaded[index], self._meter)
                except Exception as error:  # noqa: BLE001 - a model may raise anything
                    results[index] = _fault(error, where)
                    del good[index]
        if not good:
            return results
        measurements = summarise(
            [loaded[index] for index in good],
            list(good.values()),
            canary,
            usage,
            device=self._device,
            runtime=self._runtime,
            batch_size=self._batch_size,
            clock=self._canary.clock,
            timing=timing,
            reference=header["reference"],
        )
        for index, measurement in zip(good, measurements, strict=True):
            results[index] = {"measurement": measurement.to_dict()}
        return results

    def _load(self, model: dict[str, Any], parts: list[bytes]) -> Runnable:
        named = safetensors.torch.load(parts[model["inputs"]])
        tensors: Inputs = tuple(named[str(index)] for index in range(len(named)))
        source: Model
        if "onnx" in model:
            source = Path(model["onnx"])
        else:
            # The bytes come from the process that started this one, over a private pipe: its own
            # objects, not data from outside.
            source = cloudpickle.loads(parts[model["module"]])
        return self._runtime.load(source, tensors, check=self._check)


def _timing(data: dict[str, Any]) -> Timing:
    return Timing(**{**data, "rounds": tuple(data["rounds"])})


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


if __name__ == "__main__":
    main()
