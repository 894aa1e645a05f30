"""The devices that the host of a search measures on itself: shared, and served to its trials."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import DeviceError, HwnasError, StoreError
from hwnas.jobs._folder.spec import QUEUE
from hwnas.jobs._measuring.meter import open_at_hand, references, remember_references
from hwnas.jobs._measuring.trial_measuring import ARCH
from hwnas.jobs._queue.evaluator import DeviceEvaluator, Evaluator
from hwnas.jobs._queue.worker import QueueWorker

if TYPE_CHECKING:
    from hwnas.device import Device, Measurement, Model
    from hwnas.jobs._folder.job import Job
    from hwnas.jobs._folder.spec import DeviceSpec
    from hwnas.space import SearchSpace

_LOOK = 0.3  # seconds between looks for the first request


class AtHand:
    """The devices at hand of a job, each opened when it is needed.

    The first measurement on a device fixes the host speed that all others of the job refer to; it
    is kept in ``devices.json``.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._devices: dict[str, Device] = {}
        self._mutex = threading.Lock()

    def get(self, spec: DeviceSpec) -> Device:
        """A device, the same for all who ask.

        Raises:
            HwnasError: it cannot be opened.
        """
        with self._mutex:
            if spec.name not in self._devices:
                reference = references(self._job).get(spec.name)
                self._devices[spec.name] = open_at_hand(spec, reference)
            return self._devices[spec.name]

    def remember(self, device: Device) -> None:
        """Keep the speed that a device refers to, after it has measured."""
        if device.reference is None:
            raise DeviceError(f"device '{device.name}' gave no reference speed")
        with self._mutex:
            remember_references(self._job, {device.name: device.reference})

    def close(self) -> None:
        """Close all, also in the middle of a measurement."""
        for device in list(self._devices.values()):
            device.close()


class ServingTrials:
    """Answers what trials ask of devices at hand, in threads, as a worker elsewhere would.

    Nothing is written until a trial asks.
    """

    def __init__(self, job: Job, space: SearchSpace, at_hand: AtHand) -> None:
        self._job, self._space, self._at_hand = job, space, at_hand
        self._ended = threading.Event()
        self._workers: dict[str, QueueWorker] = {}
        self._mutex = threading.Lock()
        self._threads = [
            threading.Thread(target=self._serve, args=[spec], daemon=True)
            for spec in job.spec.devices
            if spec.runtime != QUEUE
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End after the measurement in hand."""
        with self._mutex:
            self._ended.set()
            for worker in self._workers.values():
                worker.stop()
        for thread in self._threads:
            thread.join(timeout=10)

    def _serve(self, spec: DeviceSpec) -> None:
        while not self._ended.wait(_LOOK):
            try:
                if not self._job.store.names(f"queue/{spec.name}/requests"):
                    continue
                worker = QueueWorker(self._job.store, spec.name, self._evaluator(spec), inside=True)
                with self._mutex:
                    self._workers[spec.name] = worker
                    if self._ended.is_set():
                        return
                worker.run()
            except HwnasError:  # a store out of reach: the trial that waits will tell
                continue

    def _evaluator(self, spec: DeviceSpec) -> DeviceEvaluator | Evaluator:
        try:
            return _OfTrials(self._at_hand, spec, self._space)
        except HwnasError as error:
            if isinstance(error, StoreError):
                raise
            return _Absent(error)


class _OfTrials(DeviceEvaluator):
    def __init__(self, at_hand: AtHand, spec: DeviceSpec, space: SearchSpace) -> None:
        super().__init__(at_hand.get(spec))
        self._at_hand, self._spec, self._space = at_hand, spec, space

    def measure(
        self, model: Model, inputs: Path, timing: dict[str, Any] | None, *, parts: bool = False
    ) -> Measurement:
        if not self._spec.reads_onnx:
            model = self._built(Path(str(model)))
        measured = super().measure(model, inputs, timing, parts=parts)
        self._at_hand.remember(self.device)
        return measured

    def close(self) -> None:
        """Others measure on the device, too."""

    def _built(self, file: Path) -> Model:
        from safetensors import safe_open
        from safetensors.torch import load_model

        with safe_open(str(file), "pt") as weights:
            arch = json.loads(weights.metadata()[ARCH])
        model = self._space.build(self._space.canonical(arch))
        load_model(model, str(file))
        return model.eval()


class _Absent(Evaluator):
    """A device that cannot be opened here; whoever asks is told why."""

    def __init__(self, reason: HwnasError) -> None:
        self._reason = reason

    def evaluate(self, trial_id: int, model_path: Path) -> dict[str, float]:
        raise self._reason
