"""Another host as a device."""

from __future__ import annotations

import shlex
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hwnas.device._base import Inputs, Model, arrays_of
from hwnas.device._canary import canary_file, canary_inputs, canary_model
from hwnas.device._faults import naming
from hwnas.device._remote.arrays import pack_arrays, unpack_arrays
from hwnas.device._remote.connection import Connection, ConnectionLost
from hwnas.device._runtimes.agreement import check_agreement, check_finite, eager_outputs
from hwnas.device._runtimes.onnx import whole_file
from hwnas.device._timing.timing import Timing
from hwnas.device._worker.process import WorkerLost
from hwnas.device._worker_device import Request, WorkerDevice
from hwnas.errors import DeviceError, ModelFault


class RemoteDevice(WorkerDevice):
    """Measures latency on another host; see `WorkerDevice` for the other arguments.

    The other side needs Python (3.8 or newer) and the runtime, not hwnas and not PyTorch. What
    measures is sent there each time and leaves nothing behind. Models are exported, converted and
    compared with the eager ones here; files and arrays travel. When the connection is cut, the
    request is repeated on a new one.

    Args:
        name: what budgets and tables call it.
        command: what gives a shell on the other side and reads its commands from standard input,
            such as `ssh pi@board`, `docker exec -i box sh` or `adb shell`. It must not ask for a
            password.
        python: the Python there, a name or a path.
        connect_limit: seconds to connect, and for each answer that needs no work.
        retries: how often a request is repeated after the connection was cut.

    Raises:
        UsageError: a runtime that is not run elsewhere.
    """

    _here = False

    def __init__(
        self,
        name: str,
        command: str | Sequence[str],
        *,
        python: str = "python3",
        connect_limit: float = 30.0,
        retries: int = 2,
        runtime: str = "onnxruntime",
        threads: int = 1,
        batch_size: int = 1,
        precision: str = "fp32",
        accelerator: str = "cpu",
        reference: float | None = None,
        timing: Timing | None = None,
        process_std: float | None = None,
        time_limit: float | None = None,
        memory_limit: int | None = None,
        energy: bool = False,
        check: bool = True,
    ) -> None:
        super().__init__(
            name,
            runtime=runtime,
            threads=threads,
            batch_size=batch_size,
            precision=precision,
            accelerator=accelerator,
            reference=reference,
            timing=timing,
            process_std=process_std,
            time_limit=time_limit,
            memory_limit=memory_limit,
            energy=energy,
            check=check,
        )
        try:
            self._command = shlex.split(command) if isinstance(command, str) else list(command)
        except ValueError as error:
            raise DeviceError(f"device '{name}': the command {command!r}: {error}") from error
        if not self._command:
            raise DeviceError(f"device '{name}' needs a command that gives a shell, as 'ssh board'")
        if set(python) & set("'\"\\\n"):
            raise DeviceError(f"device '{name}': {python!r} is no path of a Python")
        self._python, self._connect_limit, self._retries = python, connect_limit, retries
        assert self._made.session is not None
        self._settings["session"] = self._session = self._made.session
        self._connection: Connection | None = None

    def _pack(self, request: Request, where: str, model: Model, inputs: Inputs) -> dict[str, Any]:
        packed = pack_arrays(arrays_of(inputs))
        with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
            prepared = self._made.prepare(model, inputs, Path(folder))
            assert isinstance(prepared.source, Path)
            with naming(f"{where} cannot be sent"):
                data = whole_file(prepared.source)
        return {
            "name": prepared.source.name,
            "size": prepared.size,
            "file": request.add_part(data),
            "inputs": request.add_inputs(inputs, packed),
        }

    def _exchange(
        self, header: dict[str, Any], parts: Sequence[bytes]
    ) -> tuple[dict[str, Any], list[bytes]]:
        request = {"request": "measure", "time_limit": self._time_limit, **header}
        lost: ConnectionLost | None = None
        unreachable: DeviceError | None = None
        for attempt in range(self._retries + 1):
            time.sleep(max(attempt - 1, 0))  # the other side may have to come back
            try:
                connection = self._open()
            except DeviceError as error:
                self._end()
                if lost is None:
                    raise
                unreachable = error
                continue
            unreachable = None
            try:
                return connection.request(request, parts)
            except ConnectionLost as error:
                self._end()
                lost = error
        assert lost is not None
        if unreachable is not None:
            names = ", ".join(model["where"] for model in header["models"])
            raise DeviceError(f"{names}: {lost}; after that: {unreachable}")
        raise WorkerLost(f"{lost}; tried {self._retries + 1} times", "connection", lost.model)

    def _verify(self, model: Model, inputs: Inputs, outputs: bytes) -> None:
        with naming("the outputs that came back"):
            tensors = [torch.from_numpy(array) for array in unpack_arrays(outputs)]
        check_finite(tensors, self.runtime)
        if self._check and isinstance(model, nn.Module):
            expected = eager_outputs(model, inputs)
            check_agreement(expected, tensors, self.runtime, self._made.rounding)

    def _open(self) -> Connection:
        if self._connection is None:
            connection = Connection(self._command, self._python, self._session, self._connect_limit)
            self._connection = connection
            weakref.finalize(self, connection.close)
            model, inputs, request = canary_model(), canary_inputs(), Request()
            sent = canary_file() if self._made.reads_onnx else model
            self._pack(request, "the canary", sent, inputs)
            settings = {"request": "open", "settings": self._settings}
            _, outputs = connection.request(settings, request.parts)
            try:
                self._verify(model, inputs, outputs[0])
            except ModelFault as error:
                raise DeviceError(f"the canary there: {error}") from error
        return self._connection

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
