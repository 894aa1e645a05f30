"""How a trial has its network measured while it trains: through a queue, whatever the device."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import DeviceError, InfeasibleTrial, JobError, ModelFault
from hwnas.jobs._folder.spec import QUEUE, DeviceSpec, JobSpec
from hwnas.jobs._measuring.meter import example
from hwnas.jobs._queue.queue_device import QueueDevice
from hwnas.jobs._store.store import Store

if TYPE_CHECKING:
    from torch import nn

    from hwnas.device import Model
    from hwnas.jobs._folder.trial_folder import TrialFolder

ARCH = "arch"
"""The entry of a file of weights that says which network they are of."""

_COMES = 60.0  # seconds within which the search serves a device at hand


def measure_trial(
    files: TrialFolder,
    number: int,
    model: nn.Module,
    arch: Mapping[str, Any],
    name: str | None = None,
) -> dict[str, float]:
    """Costs of a network as it is now, on a device of the job; by default on the first.

    A device at hand is measured by the process that runs the search, so that there is one
    measurement at a time on its host. The trial needs to see the job's store, and no more.

    Raises:
        InfeasibleTrial: the device can never run this network.
        DeviceError: there is no such device, no worker serves it, or it gave no number.
        JobError: the job does not say what an input looks like.
    """
    spec = Store(files.job).read("job.json", JobSpec)
    if spec is None:
        raise JobError(f"{files.job} has no job.json, which names the devices")
    device = _device_named(spec, name)
    if spec.input_shape is None:
        raise JobError("what is measured needs the input's shape: a task, or input_shape=(C, H, W)")
    own = copy.deepcopy(model).cpu() if _is_elsewhere(model) else model
    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
        subject: Model = own
        if not device.reads_onnx:
            subject = Path(folder, "model.safetensors")
            _save(own, arch, subject)
        if device.runtime == QUEUE:
            asking = QueueDevice(Store(device.store or files.job), device.name, trial=number)
        else:
            place = Store(files.job), device.name
            asking = QueueDevice(*place, trial=number, expected=True, patience=_COMES)
        (answer,) = asking.answers([subject], [example(device, spec.input_shape)])
        fault = answer if isinstance(answer, ModelFault) else asking.fault(answer, "the network")
    if fault is not None:
        raise InfeasibleTrial(str(fault)) if fault.kind == "infeasible" else fault
    assert not isinstance(answer, ModelFault)
    return dict(answer.metrics)


def _device_named(spec: JobSpec, name: str | None) -> DeviceSpec:
    for device in spec.devices:
        if name in (None, device.name):
            return device
    known = ", ".join(device.name for device in spec.devices)
    raise DeviceError(f"the search has no device '{name}'; it has: {known}")


def _is_elsewhere(model: nn.Module) -> bool:
    return any(one.device.type != "cpu" for one in (*model.parameters(), *model.buffers()))


def _save(model: nn.Module, arch: Mapping[str, Any], path: Path) -> None:
    """Weights, for runtimes that take modules: the search builds the network of the arch."""
    from safetensors.torch import save_model

    save_model(model, str(path), metadata={ARCH: json.dumps(dict(arch))})
