"""OpenVINO on the CPU (extra `openvino`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hwnas.device._runtimes import openvino_session
from hwnas.device._runtimes.onnx import OnnxFileRuntime
from hwnas.errors import DeviceError


class _InTensors(openvino_session.Session):
    def outputs(self) -> list[Tensor]:
        return [torch.from_numpy(array) for array in super().outputs()]


class OpenVinoRuntime(OnnxFileRuntime):
    """OpenVINO's CPU plugin for one stream of requests (its latency mode).

    fp16 and bf16 are there where the processor computes in them. int8 models are quantised by
    ONNX Runtime's tool and run by OpenVINO's 8-bit kernels.
    """

    name: ClassVar[str] = "openvino"
    precisions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "cpu": tuple(openvino_session.ARITHMETIC)
    }
    session: ClassVar[str | None] = openvino_session.__name__
    _session: ClassVar[type[Any]] = _InTensors
    _converted: ClassVar[tuple[str, ...]] = ("int8",)

    def _check_host(self) -> None:
        try:
            openvino_session.version(self.precision, self.accelerator)
        except ImportError as error:
            raise DeviceError("OpenVINO is not installed; pip install 'hwnas[openvino]'") from error

    @property
    def version(self) -> str:
        """OpenVINO's version."""
        return openvino_session.version(self.precision, self.accelerator)
