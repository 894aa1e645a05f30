"""ONNX Runtime, on the CPU or a CUDA GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hwnas.device._runtimes import onnxruntime_session
from hwnas.device._runtimes.onnx import OnnxFileRuntime
from hwnas.device._timing.memory import PeakMemory


class _InTensors(onnxruntime_session.Session):
    def outputs(self) -> list[Tensor]:
        return [torch.from_numpy(array) for array in super().outputs()]


class OnnxRuntime(OnnxFileRuntime):
    """ONNX Runtime's CPU or CUDA provider with all graph optimisations (its default).

    Its CPU provider has no arithmetic in fp16 or bf16. CUDA needs the package `onnxruntime-gpu`.
    """

    name: ClassVar[str] = "onnxruntime"
    precisions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "cpu": ("fp32", "int8", "int8-dynamic"),
        "cuda": ("fp32", "fp16"),
    }
    session: ClassVar[str | None] = onnxruntime_session.__name__
    _session: ClassVar[type[Any]] = _InTensors
    _converted: ClassVar[tuple[str, ...]] = ("fp16", "int8", "int8-dynamic")

    def _check_host(self) -> None:
        onnxruntime_session.version(self.precision, self.accelerator)

    @property
    def version(self) -> str:
        """ONNX Runtime's version."""
        return onnxruntime_session.version(self.precision, self.accelerator)

    @property
    def hardware(self) -> str:
        """The GPU's name as far as PyTorch knows it, or "cpu"."""
        if self.accelerator == "cuda" and torch.cuda.is_available():
            return torch.cuda.get_device_name()
        return self.accelerator

    @property
    def rounding(self) -> str:
        """On a GPU fp32 convolutions run in TF32, which has the mantissa of fp16."""
        tf32 = self.accelerator == "cuda" and self.precision == "fp32"
        return "fp16" if tf32 else self.precision

    def _memory(self) -> PeakMemory | None:
        # The CUDA provider's arena has no counter that Python can read.
        return super()._memory() if self.accelerator == "cpu" else None
