"""A device that is somewhere else: models go through a queue to the workers that serve it."""

from __future__ import annotations

import hashlib
import tempfile
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
)
from hwnas.errors import DeviceError, ModelFault
from hwnas.jobs._queue.envelopes import Answer, Request
from hwnas.jobs._queue.queue import MeasurementQueue
from hwnas.jobs._store.lease import Watch, last_generation

if TYPE_CHECKING:
    from torch import Tensor

    from hwnas.jobs._store.store import Store


class QueueDevice(Device):
    """Asks the workers of a device name to measure, and waits for their answers.

    The same model, inputs, timing and trial are one request: asked for again after a crash, the
    answer that is there is taken.

    Args:
        store: of the job; workers need nothing but the same store.
        name: of the device, as in `latency@name`.
        trial: the number that workers are told.
        timing: when a measurement is good enough; None leaves it to the worker.
        time_limit: seconds for one model, from the moment that a worker claims it.
        patience: seconds without a sign of life after which a worker counts as dead. If no worker
            lives, measuring fails; it does so at once if there never was one.
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
        poll: float = 0.1,
    ) -> None:
        self.name, self.trial = name, trial
        self._queue = MeasurementQueue(store, name)
        self.timing = timing
        self._time_limit, self._patience, self._poll = time_limit, patience, poll
        self._workers = Watch()

    def measure_each(
        self,
        models: Sequence[Model],
        inputs: Tensor | tuple[Tensor, ...] | list[tuple[Tensor, ...]],
        *,
        timing: Timing | None = None,
        parts: bool = False,
    ) -> list[Measurement | ModelFault]:
        """See `Device.measure_each`; a `ModelFault` also where no answer came in time."""
        each = per_model(inputs, models)
        posted: list[str | ModelFault] = []
        for model, tensors in zip(models, each, strict=True):
            try:
                posted.append(self._post(model, tensors, timing or self.timing))
            except ModelFault as error:
                posted.append(error)
        answers = self._wait([work for work in posted if isinstance(work, str)])
        return [
            work if isinstance(work, ModelFault) else self._read(answers[work], tensors)
            for work, tensors in zip(posted, each, strict=True)
        ]

    def close(self) -> None:
        """Nothing is held; requests that nobody waits for any more stay where they are."""

    def _post(self, model: Model, inputs: Inputs, timing: Timing | None) -> str:
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
            named = {str(i): x.detach().cpu().contiguous() for i, x in enumerate(inputs)}
            save_file(named, tensors)
            kept = self._queue.keep(file), self._queue.keep(tensors)
        wanted = None if timing is None else asdict(timing)
        told = f"{self.trial} {kept[0].sha256} {kept[1].sha256} {wanted}"
        request = Request(
            id=f"{self.trial:06d}-{hashlib.sha256(told.encode()).hexdigest()[:20]}",
            trial=self.trial,
            model=kept[0],
            inputs=kept[1],
            timing=wanted,
        )
        self._queue.post(request)
        return request.id

    def _wait(self, works: Sequence[str]) -> dict[str, Answer]:
        pending, answers = dict.fromkeys(works), dict[str, Answer]()
        claimed: dict[str, tuple[int, float]] = {}
        while True:
            for work in list(pending):
                answer = self._queue.answer_to(work)
                if answer is None:
                    answer = self._overdue(work, claimed)
                if answer is not None:
                    answers[work] = answer
                    del pending[work]
            if not pending:
                return answers
            self._check_served()
            time.sleep(self._poll)

    def _overdue(self, work: str, claimed: dict[str, tuple[int, float]]) -> Answer | None:
        """The answer that there was none in time, which no late worker can take back."""
        generation, now = last_generation(self._queue.store, work), time.monotonic()
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

    def _check_served(self) -> None:
        store = self._queue.store
        workers = store.names("workers")
        silent = [self._workers.silence(name, store.get(name)) for name in workers]
        if not silent or min(silent) >= self._patience:
            who = (
                "no worker serves it" if not silent else f"none of its {len(silent)} workers lives"
            )
            raise DeviceError(
                f"device '{self.name}': {who}; start one where the device is: "
                f"hwnas worker --store URL --device {self.name}"
            )

    def _read(self, answer: Answer, inputs: Inputs) -> Measurement | ModelFault:
        if answer.status != "ok":
            by = f"worker {answer.worker}: " if answer.worker else ""
            return ModelFault(f"device '{self.name}': {by}{answer.error}", answer.kind)
        if answer.measurement is not None:
            measured = replace(Measurement.from_dict(answer.measurement), device=self.name)
            if measured.canary is not None:
                self.reference = measured.canary.reference
            return measured
        if "latency" not in answer.metrics:
            known = ", ".join(answer.metrics)
            return ModelFault(f"device '{self.name}': the evaluator told {known}, not latency")
        # What an evaluator of somebody's own tells has neither samples nor an interval.
        told = SimulatedDevice(self.name, lambda model, given: answer.metrics["latency"])
        (found,) = told.measure([""], inputs)
        return replace(found, environment=replace(found.environment, runtime="evaluator"))
