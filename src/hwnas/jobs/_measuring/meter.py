"""Measuring trained models, beside the training and once more at the end."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from hwnas._estimate import Estimate
from hwnas._process import Message
from hwnas.errors import DeviceError, ModelFault, StoreError, UsageError, describe
from hwnas.jobs._folder.spec import QUEUE
from hwnas.jobs._folder.trial_folder import WEIGHTS
from hwnas.jobs._measuring.networks import noise
from hwnas.jobs._queue.sizing import MeasuredIn

if TYPE_CHECKING:
    from torch import Tensor

    from hwnas.device import Device, Measurement, Model, Timing, WorkerDevice
    from hwnas.jobs._folder.job import Job
    from hwnas.jobs._folder.spec import DeviceSpec
    from hwnas.jobs._measuring.at_hand import AtHand
    from hwnas.jobs._store.store import Store
    from hwnas.space import Arch, SearchSpace

MEASURED = ("latency", "throughput")
"""Metrics that come from a device rather than from the network alone."""

_MOST_WAITING = 32  # trials that wait for workers at a time
_PROCESSES = 3  # of a measurement that decides


def measured_keys(keys: Iterable[str], devices: tuple[DeviceSpec, ...]) -> dict[str, DeviceSpec]:
    """Which of the cost keys (`latency@pixel6`, `latency`, `macs`) a device gives, and which one.

    A key without a device means the first.

    Raises:
        DeviceError: a key names a device that is not there.
    """
    known = {device.name: device for device in devices}
    found = {}
    for key in keys:
        metric, at, name = key.partition("@")
        if metric not in MEASURED:
            continue
        if at and name not in known:
            raise DeviceError(
                f"'{key}' needs a device '{name}', and there is none; devices: {', '.join(known)}"
            )
        found[key] = known[name] if at else devices[0]
    return found


def open_device(
    spec: DeviceSpec,
    reference: float | None = None,
    timing: Timing | None = None,
    *,
    store: Store | None = None,
    trial: int = 0,
) -> Device:
    """The device that `spec` describes; `reference` is the speed to refer to.

    Nothing is started or connected yet. `store` is the job's, where a queue without a store of its
    own lies; `trial` is the number that its workers are told.

    Raises:
        UsageError: a queue without a store, outside of a job.
    """
    if spec.runtime != QUEUE:
        return open_at_hand(spec, reference, timing)
    from hwnas.jobs._queue.queue_device import QueueDevice
    from hwnas.jobs._store.store import Store

    there = store if spec.store is None else Store(spec.store)
    if there is None:
        raise UsageError(f"device '{spec.name}' needs a store: {spec.name}=queue?store=URL")
    return QueueDevice(there, spec.name, timing=timing, trial=trial)


def open_at_hand(
    spec: DeviceSpec, reference: float | None = None, timing: Timing | None = None
) -> WorkerDevice:
    """As `open_device`, for devices that this host measures on itself, or over a shell.

    Raises:
        UsageError: it is a queue's device.
    """
    from hwnas.device import LocalDevice, RemoteDevice

    if spec.runtime == QUEUE:
        raise UsageError(f"device '{spec.name}' is served by workers (hwnas worker), in jobs alone")
    how = {
        "runtime": spec.runtime,
        "threads": spec.threads,
        "batch_size": spec.batch_size,
        "precision": spec.precision,
        "accelerator": spec.accelerator,
        "reference": reference,
        "timing": timing,
        "process_std": spec.process_std,
    }
    if spec.via is None:
        return LocalDevice(spec.name, **how)  # type: ignore[arg-type]
    return RemoteDevice(spec.name, spec.via, python=spec.python, **how)  # type: ignore[arg-type]


def onnx_name(batch_size: int) -> str:
    """The file of a trial's network for a batch size."""
    return "model.onnx" if batch_size == 1 else f"model-batch{batch_size}.onnx"


def trial_model(job: Job, space: SearchSpace, number: int, arch: Arch, device: DeviceSpec) -> Model:
    """A trained trial in the form that a device measures: its ONNX file, or the module."""
    name = onnx_name(device.batch_size) if device.reads_onnx else WEIGHTS
    (file,) = job.trial(number).fetch([name])
    if device.reads_onnx:
        return file
    from safetensors.torch import load_model

    model = space.build(arch)
    load_model(model, str(file))
    return model.eval()


def example(device: DeviceSpec, shape: Sequence[int]) -> tuple[Tensor]:
    """Noise of the size of one batch, for inputs of `shape` (C, H, W); always the same."""
    return noise(device.batch_size, shape)


def measure_again(
    models: Mapping[str, Sequence[Model]],
    shape: Sequence[int],
    keys: Mapping[str, DeviceSpec],
    reference: Mapping[str, float],
    store: Store | None = None,
) -> list[dict[str, Estimate]]:
    """The costs `keys` of several models, each measured in three fresh processes.

    `models` holds, for each device's name, the same models in the form that it takes.
    """
    from hwnas.device import Timing

    once = Timing()
    timing = replace(once, processes=_PROCESSES, time_cap=_PROCESSES * once.time_cap)
    taken = {}
    for spec in {spec.name: spec for spec in keys.values()}.values():
        with open_device(spec, reference.get(spec.name), timing, store=store) as device:
            taken[spec.name] = device.measure(models[spec.name], example(spec, shape))
    count = max(map(len, taken.values()))
    return [
        {key: cost_of(key, taken[spec.name][i], spec.batch_size) for key, spec in keys.items()}
        for i in range(count)
    ]


def cost_of(key: str, measurement: Measurement, batch_size: int) -> Estimate:
    """A measured latency as the cost that `key` names, in its canonical unit."""
    latency = measurement.estimate
    if key.partition("@")[0] == "latency":
        return latency
    rate = 1000.0 * batch_size / latency.value
    return Estimate(rate, rate * latency.std / latency.value)


class Meter:
    """Threads that measure trials and put the results into `events`.

    What is at hand measures one after the other; trials that wait for workers elsewhere wait side
    by side, so that as many workers as there are have work.
    """

    def __init__(
        self,
        job: Job,
        space: SearchSpace,
        keys: Mapping[str, DeviceSpec],
        events: queue.Queue[Message],
        at_hand: AtHand,
    ) -> None:
        self._job = job
        self._space = space
        self._keys = dict(keys)
        self._shape = job.spec.input_shape or ()
        self._events = events
        self._at_hand = at_hand
        self._orders: queue.Queue[tuple[int, Arch] | None] = queue.Queue()
        self._elsewhere: set[Device] = set()
        self._closed = threading.Event()
        far = any(spec.runtime == QUEUE for spec in self._keys.values())
        count = min(max(4, 2 * job.spec.parallel), _MOST_WAITING) if far else 1
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, number: int, arch: Arch) -> None:
        """Measure a trained trial; the answer is a `measured` or a `failed` message.

        `measured` has `costs`, and `times`: a `MeasuredIn` for each device.
        """
        self._orders.put((number, arch))

    def close(self) -> None:
        """Stop, also in the middle of a measurement."""
        self._closed.set()
        for _ in self._threads:
            self._orders.put(None)
        for device in list(self._elsewhere):
            device.close()
        self._at_hand.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _serve(self) -> None:
        while (order := self._orders.get()) is not None and not self._closed.is_set():
            number, arch = order
            try:
                costs, times = self._measure(number, arch)
            except StoreError as error:  # no fault of the trial, which is measured later
                self._events.put({"type": "broken", "trial": number, "error": error})
            except Exception as error:  # noqa: BLE001 - without this thread the search would wait
                infeasible = isinstance(error, ModelFault) and error.kind == "infeasible"
                self._events.put(
                    {
                        "type": "failed",
                        "trial": number,
                        "kind": "infeasible" if infeasible else "measure",
                        "reason": f"measuring failed: {describe(error)}",
                    }
                )
            else:
                self._events.put(
                    {"type": "measured", "trial": number, "costs": costs, "times": times}
                )

    def _measure(
        self, number: int, arch: Arch
    ) -> tuple[dict[str, Estimate], dict[str, MeasuredIn]]:
        from hwnas.jobs._queue.queue_device import QueueDevice

        taken: dict[str, Measurement] = {}
        times: dict[str, MeasuredIn] = {}
        for spec in {spec.name: spec for spec in self._keys.values()}.values():
            model = trial_model(self._job, self._space, number, arch, spec)
            began = time.monotonic()
            with self._opened(spec, number) as device:
                taken[spec.name] = device.measure([model], example(spec, self._shape))[0]
                waited = time.monotonic() - began
                times[spec.name] = MeasuredIn(waited, waited)
                if isinstance(device, QueueDevice):
                    times[spec.name] = MeasuredIn(waited, device.occupied, device.workers())
        found = {name: m.to_dict() for name, m in taken.items()}
        self._job.write(f"trials/{number}/measurements.json", found)
        costs = {
            key: cost_of(key, taken[spec.name], spec.batch_size) for key, spec in self._keys.items()
        }
        return costs, times

    @contextmanager
    def _opened(self, spec: DeviceSpec, number: int) -> Iterator[Device]:
        if spec.runtime != QUEUE:
            device = self._at_hand.get(spec)
            yield device
            self._at_hand.remember(device)
            return
        with open_device(spec, store=self._job.store, trial=number) as device:
            self._elsewhere.add(device)
            try:
                yield device
            finally:
                self._elsewhere.discard(device)
            if device.reference is not None:  # an evaluator of the user's own has none
                self._at_hand.remember(device)


def references(job: Job) -> dict[str, float]:
    """For each device that has measured in the job, its canary's latency (ms) at that time."""
    return job.read("devices.json", dict[str, float]) or {}


def remember_references(job: Job, found: Mapping[str, float]) -> None:
    """Keep the speeds of devices that are not known yet."""
    known = references(job)
    if found.keys() - known.keys():
        job.write("devices.json", {**found, **known})
