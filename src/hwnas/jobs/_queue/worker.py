"""A worker: measures what the queues of jobs ask for, on the device at hand."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import DeviceError, ModelFault, UsageError, describe
from hwnas.jobs._folder.life import LifeCycle
from hwnas.jobs._queue.asked import asked_of
from hwnas.jobs._queue.backlog import Backlog
from hwnas.jobs._queue.calibration import TOLERANCE, calibrated, deviation, known_calibrations
from hwnas.jobs._queue.envelopes import Answer, Calibrated, Request, checked_name
from hwnas.jobs._queue.evaluator import DeviceEvaluator, Evaluator, numbers
from hwnas.jobs._queue.presence import Presence
from hwnas.jobs._queue.queue import MeasurementQueue
from hwnas.jobs._store.lease import Claims, Lease
from hwnas.jobs._store.store import Store

if TYPE_CHECKING:
    from hwnas.device import Measurement

_POLL = 0.05, 0.5  # seconds: at first, and after a while without work
_ENDED_EVERY = 1.0  # seconds between looks whether a job has ended


class _Served:
    """One job, as a worker sees it."""

    def __init__(
        self,
        store: Store,
        device: str,
        name: str,
        lease: float,
        part: tuple[int, int] | None,
        *,
        known: bool,
    ) -> None:
        self.store, self.queue = store, MeasurementQueue(store, device)
        self._life = LifeCycle(store)
        self.claims = Claims(self.queue.store, name, seconds=lease)
        self.backlog = Backlog(self.queue, self.claims, part)
        self.calibration: dict[str, float] = {}
        self.reference: float | None = None
        self.ended, self._known = False, known
        self._looked = float("-inf")

    def agree_on_reference(self, device: Any) -> None:
        """Have the device refer to the host speed that was the first in this job."""
        if self.reference is None:
            if device.reference is not None:
                self.queue.store.create("reference", repr(device.reference).encode())
            told = self.queue.store.get("reference")
            self.reference = float(told) if told else None
        if self.reference is not None:
            device.reference = self.reference

    def look(self) -> None:
        """See whether the job has ended, and whether it knows this device at all.

        Raises:
            UsageError: the job asks for other devices only.
        """
        now = time.monotonic()
        if now - self._looked < _ENDED_EVERY:
            return
        self._looked = now
        self.ended = self._life.ended
        if not self._known and (names := asked_of(self.store)) is not None:
            if self.queue.device not in names:
                raise UsageError(
                    f"{self.store.url} asks for no device '{self.queue.device}'; it asks for: "
                    f"{', '.join(names) or 'none'}"
                )
            self._known = True


class QueueWorker:
    """Claims requests of a device one by one, measures them, answers.

    Args:
        stores: of the jobs to serve, the first first.
        device: the name that requests ask for.
        evaluator: what is done with a model: a `DeviceEvaluator`, or an `Evaluator` of your own.
        name: of this worker, unlike that of any other that lives.
        lease: seconds without a sign of life after which another worker may take a request over.
        idle: seconds without work after which the worker ends; None waits for ever.
        part: (i, n): only requests of trials with `trial % n == i`.
        inside: the worker is the search's own, for a device at hand: it is not compared with
            others by a fixed network, and the job does not know it.
        max_deviation: ratio by which that may differ from the median of the others; None serves
            all the same, and says so in every answer.
        on_event: told in a line what is done.

    Raises:
        UsageError: a name or a part that makes no sense.
    """

    def __init__(
        self,
        stores: Store | Sequence[Store],
        device: str,
        evaluator: DeviceEvaluator | Evaluator,
        *,
        name: str | None = None,
        lease: float = 30.0,
        idle: float | None = None,
        part: tuple[int, int] | None = None,
        inside: bool = False,
        max_deviation: float | None = None,
        on_event: Callable[[str], None] = lambda line: None,
    ) -> None:
        if part is not None and not 0 <= part[0] < part[1]:
            raise UsageError(
                f"worker {part[0]} of {part[1]}: the number must be 0 to {part[1] - 1}"
                if part[1] > 0
                else f"worker {part[0]} of {part[1]}: there must be at least one"
            )
        if lease <= 0 or (max_deviation is not None and max_deviation <= 0):
            raise UsageError("lease and largest deviation must be positive")
        host = "".join(c if c.isalnum() else "-" for c in socket.gethostname()) or "host"
        self.name = checked_name("worker", name or f"{host}-{os.getpid()}-{uuid.uuid4().hex[:6]}")
        self.device = device
        self._evaluator, self._part, self._lease, self._idle = evaluator, part, lease, idle
        self._inside, self._most, self._say = inside, max_deviation, on_event
        listed = [stores] if isinstance(stores, Store) else list(stores)
        if len({one.url for one in listed}) < len(listed) or not listed:
            raise UsageError("a worker serves one or more jobs, each given once")
        about = device, self.name, lease, part
        self._served = [_Served(one, *about, known=inside) for one in listed]
        self._ended = threading.Event()

    def stop(self) -> None:
        """End after the model in hand."""
        self._ended.set()

    def run(self) -> int:
        """Work until the jobs end, `stop` is called, or nothing was to do for `idle` seconds.

        Returns how many requests were answered.

        Raises:
            UsageError: a worker of this name or this part lives, or no job knows the device.
            DeviceError: the device measures nothing, or deviates too much from the others.
            StoreError: a store cannot be reached.
        """
        with ExitStack() as stack:
            stack.callback(self._evaluator.close)
            for served in self._served:
                served.look()
            latency = None if self._inside else self._calibration()
            presences = []
            for served in self._served:
                place = served.queue.store, self.device
                presences.append(Presence(*place, self.name, self._part, self._lease))
                if latency is not None:
                    told = Calibrated(worker=self.name, latency=latency)
                    entry = f"calibrations/{self.name}"
                    served.queue.store.put(entry, told.model_dump_json().encode())
            for presence in presences:
                stack.callback(presence.stop)
                presence.begin()
            return self._work(presences)

    def _work(self, presences: Sequence[Presence]) -> int:
        answered, since, pause = 0, time.monotonic(), _POLL[0]
        while not self._ended.is_set():
            for presence in presences:
                presence.check()
            busy = False
            for served in self._served:
                lease = None if served.ended or self._ended.is_set() else served.backlog.take()
                if lease is not None:
                    busy = True
                    with lease:
                        answered += self._serve(served, lease)
                else:
                    served.look()
            if busy:
                since, pause = time.monotonic(), _POLL[0]
            elif all(served.ended for served in self._served):
                self._say("the job has ended" if len(self._served) == 1 else "the jobs have ended")
                break
            elif self._idle is not None and time.monotonic() - since >= self._idle:
                self._say(f"nothing to do for {self._idle:g} s")
                break
            else:
                self._ended.wait(pause)
                pause = min(1.2 * pause, _POLL[1])
        return answered

    def _calibration(self) -> float | None:
        """What is told of the calibration network; each job's other workers are compared with."""
        first = self._served[0]
        if isinstance(self._evaluator, DeviceEvaluator):
            first.agree_on_reference(self._evaluator.device)
        latency, reason = calibrated(self._evaluator)
        if latency is None:
            self._say(f"not compared with other workers: {reason}")
            return None
        for served in self._served:
            if isinstance(self._evaluator, DeviceEvaluator):
                served.agree_on_reference(self._evaluator.device)
            served.calibration = {"calibration_ms": latency}
            off = deviation(self.name, latency, known_calibrations(served.queue.store))
            if off is None:
                continue
            served.calibration["deviation"] = off
            if abs(off) > TOLERANCE or (self._most is not None and abs(off) > self._most):
                text = (
                    f"the calibration network takes {abs(off):.0%} {'more' if off > 0 else 'less'} "
                    f"here than on the other workers of '{self.device}'"
                )
                if self._most is not None and abs(off) > self._most:
                    raise DeviceError(f"{text}, and {self._most:.0%} is the most that is allowed")
                self._say(text)
        return latency

    def _serve(self, served: _Served, lease: Lease) -> bool:
        """Measure and answer; whether the answer counted."""
        self._say(f"{lease.work}: measuring")
        began = time.monotonic()
        try:
            found = self._evaluate(served, served.queue.request(lease.work))
        except ModelFault as error:
            status = "infeasible" if error.kind == "infeasible" else "failed"
            found = {"status": status, "error": describe(error), "kind": error.kind}
        except Exception as error:  # noqa: BLE001 - an evaluator is the user's, the worker goes on
            found = {"status": "failed", "error": describe(error)}
        answer = Answer(
            id=lease.work,
            generation=lease.generation,
            worker=self.name,
            elapsed=time.monotonic() - began,
            environment={**found.pop("environment", {}), **served.calibration},
            **found,
        )
        if not lease.held() or not served.queue.answer(answer):
            self._say(f"{lease.work}: another worker has taken over; this result does not count")
            return False
        told = answer.error or ", ".join(f"{k} {v:.4g}" for k, v in answer.metrics.items())
        self._say(f"{lease.work}: {answer.status}, {told}")
        return True

    def _evaluate(self, served: _Served, request: Request) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
            model, inputs = Path(folder, "model.onnx"), Path(folder, "inputs.safetensors")
            served.queue.fetch(request.model, model)
            if isinstance(self._evaluator, Evaluator):
                metrics = numbers(self._evaluator.evaluate(request.trial, model))
                return {"status": "ok", "metrics": metrics}
            served.queue.fetch(request.inputs, inputs)
            device = self._evaluator.device
            served.agree_on_reference(device)
            measured = self._evaluator.measure(model, inputs, request.timing, parts=request.parts)
        served.agree_on_reference(device)
        described = measured.to_dict()
        return {
            "status": "ok",
            "metrics": _metrics(measured),
            "measurement": described,
            "environment": described["environment"],
        }


def _metrics(measured: Measurement) -> dict[str, float]:
    """What a measurement tells, under the names of `hwnas.cost.METRICS`."""
    found = {
        measured.metric: measured.median,
        "peak_memory": measured.peak_memory_bytes,
        "energy": measured.energy_mj,
    }
    return {name: float(value) for name, value in found.items() if value is not None}
