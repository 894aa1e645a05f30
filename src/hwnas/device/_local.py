"""This host as a device."""

from __future__ import annotations

import pickle
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import cloudpickle
import safetensors.torch
from torch import nn

from hwnas.device._base import Inputs, Model
from hwnas.device._worker.lock import host_lock
from hwnas.device._worker.process import WorkerProcess
from hwnas.device._worker_device import Request, WorkerDevice
from hwnas.errors import ModelFault


class LocalDevice(WorkerDevice):
    """Measures latency on this host; see `WorkerDevice` for the arguments.

    The worker has as many CPUs and threads as asked and an allocator that keeps its memory. It
    serves many calls and is replaced when a model kills it. One measurement at a time runs on a
    host (per user); others wait.
    """

    _worker: WorkerProcess | None = None

    @property
    def conditions(self) -> dict[str, str | int]:
        """All that a store knows of a measurement."""
        made = self._made
        return {
            **super().conditions,
            "runtime_version": made.version,
            "accelerator": made.hardware,
        }

    def _lock(self) -> AbstractContextManager[None]:
        return host_lock()

    def _exchange(
        self, header: dict[str, Any], parts: Sequence[bytes]
    ) -> tuple[dict[str, Any], list[bytes]]:
        if self._worker is None or not self._worker.alive:
            self._worker = WorkerProcess("hwnas.device._worker.worker", self._settings)
            weakref.finalize(self, self._worker.kill)
        return self._worker.request(header, parts, self._time_limit)

    def _end(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def _pack(self, request: Request, where: str, model: Model, inputs: Inputs) -> dict[str, Any]:
        entry: dict[str, Any] = {}
        if isinstance(model, nn.Module):
            entry["module"] = request.add_part(_pack_module(where, model))
        else:
            entry["onnx"] = str(Path(model).resolve())
        entry["inputs"] = request.add_inputs(inputs, _pack_tensors(inputs))
        return entry


def _pack_tensors(inputs: Inputs) -> bytes:
    named = {str(index): x.detach().cpu().contiguous().clone() for index, x in enumerate(inputs)}
    return cast("bytes", safetensors.torch.save(named))


def _pack_module(where: str, model: nn.Module) -> bytes:
    try:
        return cast("bytes", cloudpickle.dumps(model))
    except (pickle.PicklingError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelFault(f"{where} cannot be sent to the measuring process: {error}") from error
