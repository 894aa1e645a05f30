"""A device that is somewhere else: models go through a queue to the workers that serve it."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from hwnas.device import (
    Device,
    Inputs,
    Measurement,
    Model,
    SimulatedDevice,
    Timing,
    export_onnx,
    per_model,
    where_of,
)
from hwnas.errors import DeviceError, ModelFault
from hwnas.jobs._queue.crew import Crew
from hwnas.jobs._queue.envelopes import Answer, Request
from hwnas.jobs._queue.queue import MeasurementQueue

if TYPE_CHECKING:
    from torch import Tensor

    from hwnas.jobs._store.store import Store

_SLOWEST_POLL = 0.5


class QueueDevice(Device):
    """Asks the workers of a device name to measure, and waits for their answers.

    `occupied` tells for how many seconds the last call kept workers busy.

    The same model, inputs, timing and trial are one request: asked for again after a crash, the
    answer that is there is taken. One that says that measuring failed is not: it is asked anew.

    Args:
        store: of the job; workers need nothing but the same store.
        name: of the device, as in `latency@name`.
        trial: the number that workers are told.
        timing: when a measurement is good enough; None leaves it to the worker.
        time_limit: seconds for one model, from the moment that a worker claims it.
        patience: seconds without a sign of life after which a worker counts as dead. If no worker
            lives, measuring fails; it does so at once if there never was one.
        expected: wait as long for the first worker, too.
        poll: seconds between looks for an answer at first; later a tenth of the time waited, and
            half a second at most.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        trial: int = 0,
        timing: Timing | None = None,
        time_limit: float = 600.0,
        patience: float = 90.0,
        expected: bool = False,
        poll: float = 0.05,
    ) -> None:
        self.name, self.trial = name, trial
        self._queue = MeasurementQueue(store, name)
        self.timing = timing
        self._time_limit, self._patience, self._poll = time_limit, patience, poll
        self._expected = expected
        self.occupied = 0.0
        self._waits: set[threading.Event] = set()

    def measure_each(
        self,
        models: Sequence[Model],
        inputs: Tensor | tuple[Tensor, ...] | list[tuple[Tensor, ...]],
        *,
        timing: Timing | None = None,
        parts: bool = False,
    ) -> list[Measurement | ModelFault]:
        """See `Device.measure_each`; a `ModelFault` also where no answer came in time.

        An `Evaluator` of a worker's own is given the ONNX file alone, and does no timing.
        """
        each = per_model(inputs, models)
        answers = self.answers(models, each, timing=timing, parts=parts)
        return [
            told if isinstance(told, ModelFault) else self._read(told, each[i], where_of(models, i))
            for i, told in enumerate(answers)
        ]

    def answers(
        self,
        models: Sequence[Model],
        inputs: Sequence[Inputs],
        *,
        timing: Timing | None = None,
        parts: bool = False,
    ) -> list[Answer | ModelFault]:
        """What workers told of each model; a `ModelFault` for one that cannot be sent.

        Raises:
            DeviceError: no worker lives, or the device was closed meanwhile.
        """
        posted: list[str | ModelFault] = []
        for index, (model, tensors) in enumerate(zip(models, inputs, strict=True)):
            try:
                posted.append(self._post(model, tensors, timing or self.timing, parts))
            except ModelFault as error:
                text = f"device '{self.name}': {where_of(models, index)}: {error}"
                posted.append(ModelFault(text, error.kind))
        found = self._wait([work for work in posted if isinstance(work, str)])
        self.occupied = sum(answer.elapsed for answer in found.values())
        return [work if isinstance(work, ModelFault) else found[work] for work in posted]

    def workers(self) -> int:
        """How many workers serve the device; one that was killed still counts."""
        return len(self._queue.store.names("workers"))

    def close(self) -> None:
        """Wait no longer; requests that nobody waits for any more stay where they are."""
        for wait in list(self._waits):
            wait.set()

    def _post(
        self, model: Model, inputs: Inputs, timing: Timing | None, parts: bool = False
    ) -> str:
        from safetensors.torch import save_file

        with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
            file = Path(folder, "model.onnx")
            if isinstance(model, nn.Module):
                export_onnx(model, inputs, file)
            else:
                file = Path(model)
                if not file.is_file():
                    raise ModelFault(f"there is no ONNX file {file}")
            tensors = Path(folder, "inputs.safetensors")
            named = {str(i): x.detach().cpu().contiguous().clone() for i, x in enumerate(inputs)}
            save_file(named, tensors)
            kept = self._queue.keep(file), self._queue.keep(tensors)
        wanted = None if timing is None else asdict(timing)
        told = f"{self.trial} {kept[0].sha256} {kept[1].sha256} {wanted} {parts}"
        request = Request(
            id=self._unfailed(f"{self.trial:06d}-{hashlib.sha256(told.encode()).hexdigest()[:20]}"),
            trial=self.trial,
            model=kept[0],
            inputs=kept[1],
            timing=wanted,
            parts=parts,
        )
        self._queue.post(request)
        return request.id

    def _unfailed(self, work: str) -> str:
        """The request's name, or the next one of it that has not failed."""
        for again in itertools.count(1):
            name = work if again == 1 else f"{work}-{again}"
            answer = self._queue.answer_to(name)
            if answer is None or answer.status != "failed":
                return name
        raise AssertionError

    def _wait(self, works: Sequence[str]) -> dict[str, Answer]:
        pending, answers = dict.fromkeys(works), dict[str, Answer]()
        claimed: dict[str, tuple[int, float]] = {}
        crew = Crew(self._queue, self._patience, expected=self._expected)
        closed, began = threading.Event(), time.monotonic()
        self._waits.add(closed)
        try:
            while True:
                for work, last, told in list(self._queue.counting_answers(pending)):
                    answer = self._overdue(work, last, claimed) if told is None else told
                    if answer is not None:
                        answers[work] = answer
                        del pending[work]
                if not pending:
                    return answers
                crew.check()
                waited = time.monotonic() - began
                if closed.wait(max(self._poll, min(waited / 10, _SLOWEST_POLL))):
                    raise DeviceError(f"device '{self.name}' was closed while it was waited for")
        finally:
            self._waits.discard(closed)

    def _overdue(
        self, work: str, generation: int, claimed: dict[str, tuple[int, float]]
    ) -> Answer | None:
        """The answer that there was none in time, which no late worker can take back."""
        now = time.monotonic()
        if generation == 0:
            return None
        if claimed.get(work, (0, 0.0))[0] != generation:
            claimed[work] = generation, now
        if now - claimed[work][1] < self._time_limit:
            return None
        reason = f"no result {self._time_limit:g} s after a worker claimed the model"
        told = Answer(
            id=work, generation=generation, worker="", status="failed", error=reason, kind="timeout"
        )
        return told if self._queue.answer(told) else self._queue.answer_to(work)

    def fault(self, answer: Answer, where: str) -> ModelFault | None:
        """Why there is no number in an answer; None if there is."""
        if answer.status == "ok":
            return None
        by = f"worker {answer.worker}: " if answer.worker else ""
        kind = "infeasible" if answer.status == "infeasible" else answer.kind
        return ModelFault(f"device '{self.name}': {where}: {by}{answer.error}", kind)

    def _read(self, answer: Answer, inputs: Inputs, where: str) -> Measurement | ModelFault:
        fault = self.fault(answer, where)
        if fault is not None:
            return fault
        if answer.measurement is not None:
            measured = replace(Measurement.from_dict(answer.measurement), device=self.name)
            if measured.canary is not None:
                self.reference = measured.canary.reference
            return measured
        if "latency" not in answer.metrics:
            known = ", ".join(answer.metrics)
            text = f"device '{self.name}': {where}: the evaluator told {known}, not latency"
            return ModelFault(text)
        # What an evaluator of somebody's own tells has neither samples nor an interval.
        told = SimulatedDevice(self.name, lambda model, given: answer.metrics["latency"])
        (found,) = told.measure([""], inputs)
        return replace(found, environment=replace(found.environment, runtime="evaluator"))
