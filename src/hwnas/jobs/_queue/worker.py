"""A worker: measures what a queue asks for, on the device at hand."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwnas.errors import DeviceError, ModelFault, StoreError, UsageError, describe
from hwnas.jobs._life import LifeCycle
from hwnas.jobs._queue.envelopes import Answer, Request, checked_name
from hwnas.jobs._queue.evaluator import DeviceEvaluator, Evaluator, InfeasibleModel
from hwnas.jobs._queue.queue import MeasurementQueue
from hwnas.jobs._store.lease import Claims, Lease, Pulse
from hwnas.jobs._store.store import Store


class QueueWorker:
    """Claims requests of a device one by one, measures them, answers.

    Args:
        store: of the job.
        device: the name that requests ask for.
        evaluator: what is done with a model: a `DeviceEvaluator`, or an `Evaluator` of your own.
        name: of this worker, unlike that of any other that lives.
        lease: seconds without a sign of life after which another worker may take a request over.
        idle: seconds without work after which the worker ends; None waits for ever.
        part: (i, n): only requests of trials with `trial % n == i`.
        on_event: told in a line what is done.

    Raises:
        UsageError: a name or a part that makes no sense, or a worker of that name lives.
    """

    def __init__(
        self,
        store: Store,
        device: str,
        evaluator: DeviceEvaluator | Evaluator,
        *,
        name: str | None = None,
        lease: float = 30.0,
        poll: float = 0.2,
        idle: float | None = None,
        part: tuple[int, int] | None = None,
        on_event: Callable[[str], None] = lambda line: None,
    ) -> None:
        if part is not None and not 0 <= part[0] < part[1]:
            raise UsageError(
                f"worker {part[0]} of {part[1]}: the number must be 0 to {part[1] - 1}"
            )
        if lease <= 0 or poll <= 0:
            raise UsageError("lease and poll must be positive")
        host = "".join(c if c.isalnum() else "-" for c in socket.gethostname()) or "host"
        self.name = checked_name("worker", name or f"{host}-{os.getpid()}-{uuid.uuid4().hex[:6]}")
        self._life, self._queue = LifeCycle(store), MeasurementQueue(store, device)
        self._evaluator, self._part = evaluator, part
        self._poll, self._idle, self._say = poll, idle, on_event
        self._claims = Claims(self._queue.store, self.name, seconds=lease)
        self._ended = threading.Event()

    def stop(self) -> None:
        """End after the model in hand."""
        self._ended.set()

    def run(self) -> int:
        """Work until the job ends, `stop` is called, or there was nothing to do for `idle` seconds.

        Returns how many requests were answered.

        Raises:
            UsageError: a worker of this name lives.
            StoreError: the store cannot be reached.
        """
        pulse = self._registered()
        answered, since = 0, time.monotonic()
        try:
            while not self._ended.is_set():
                lease = self._next()
                if lease is not None:
                    with lease:
                        answered += self._serve(lease)
                    since = time.monotonic()
                elif self._life.ended:
                    self._say("the job has ended")
                    break
                elif self._idle is not None and time.monotonic() - since >= self._idle:
                    self._say(f"nothing to do for {self._idle:g} s")
                    break
                else:
                    self._ended.wait(self._poll)
        finally:
            pulse.stop(remove=True)
            self._evaluator.close()
        return answered

    def _registered(self) -> Pulse:
        entry = f"workers/{self.name}"
        before = self._queue.store.get(entry)
        if before is not None:
            # Left behind by one that was killed, or does that one live?
            time.sleep(self._claims.seconds / 2)
            if self._queue.store.get(entry) != before:
                raise UsageError(f"a worker '{self.name}' serves '{self._queue.device}' already")
        return Pulse(self._queue.store, entry, self._claims.seconds / 3)

    def _next(self) -> Lease | None:
        for work in self._queue.open_requests():
            if self._ended.is_set():
                return None
            if not self._is_mine(work):
                continue
            lease = self._claims.take(work)
            if lease is not None:
                return lease
        return None

    def _is_mine(self, work: str) -> bool:
        if self._part is None:
            return True
        number, of = self._part
        try:
            return self._queue.request(work).trial % of == number
        except StoreError:  # a request that nobody can read is answered, by one of us
            return number == 0

    def _serve(self, lease: Lease) -> bool:
        """Measure and answer; whether the answer counted."""
        self._say(f"{lease.work}: measuring")
        began = time.monotonic()
        try:
            found = self._evaluate(self._queue.request(lease.work))
        except InfeasibleModel as error:
            found = {"status": "infeasible", "error": describe(error)}
        except ModelFault as error:
            found = {"status": "failed", "error": str(error), "kind": error.kind}
        except Exception as error:  # noqa: BLE001 - an evaluator is the user's, the worker goes on
            found = {"status": "failed", "error": describe(error)}
        answer = Answer(
            id=lease.work,
            generation=lease.generation,
            worker=self.name,
            elapsed=time.monotonic() - began,
            **found,
        )
        if not lease.held() or not self._queue.answer(answer):
            self._say(f"{lease.work}: another worker has taken over; this result does not count")
            return False
        told = answer.error or ", ".join(f"{k} {v:.4g}" for k, v in answer.metrics.items())
        self._say(f"{lease.work}: {answer.status}, {told}")
        return True

    def _evaluate(self, request: Request) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
            model, inputs = Path(folder, "model.onnx"), Path(folder, "inputs.safetensors")
            self._queue.fetch(request.model, model)
            if isinstance(self._evaluator, Evaluator):
                metrics = _numbers(self._evaluator.evaluate(request.trial, model))
                return {"status": "ok", "metrics": metrics}
            self._queue.fetch(request.inputs, inputs)
            device = self._evaluator.device
            if device.reference is None and (known := self._queue.store.get("reference")):
                device.reference = float(known)
            measured = self._evaluator.measure(model, inputs, request.timing)
        if device.reference is not None:
            # The first worker's speed is what the numbers of all workers refer to.
            self._queue.store.create("reference", repr(device.reference).encode())
        described = measured.to_dict()
        return {
            "status": "ok",
            "metrics": {measured.metric: measured.median},
            "measurement": described,
            "environment": described["environment"],
        }


def _numbers(found: Any) -> dict[str, float]:
    if not isinstance(found, dict) or not found:
        raise DeviceError(f"evaluate returned {found!r}, not a dict of numbers")
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e300:
            raise DeviceError(f"evaluate returned {name} = {value!r}, not a positive number")
    return {str(name): float(value) for name, value in found.items()}
