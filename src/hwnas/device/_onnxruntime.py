"""ONNX Runtime, on the CPU or a CUDA GPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from hwnas.device._base import Inputs, Prepared, Runnable
from hwnas.device._faults import naming
from hwnas.device._memory import PeakMemory
from hwnas.device._onnx import OnnxFileRuntime, check_inputs
from hwnas.errors import DeviceError

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntime(OnnxFileRuntime):
    """ONNX Runtime's CPU or CUDA provider with all graph optimisations (its default).

    Its CPU provider has no arithmetic in fp16 or bf16. CUDA needs the package `onnxruntime-gpu`.
    """

    name: ClassVar[str] = "onnxruntime"
    precisions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "cpu": ("fp32", "int8", "int8-dynamic"),
        "cuda": ("fp32", "fp16"),
    }
    _converted: ClassVar[tuple[str, ...]] = ("fp16", "int8", "int8-dynamic")

    def __init__(
        self, *, threads: int = 1, precision: str = "fp32", accelerator: str = "cpu"
    ) -> None:
        super().__init__(threads=threads, precision=precision, accelerator=accelerator)
        import onnxruntime

        if _PROVIDERS[accelerator] not in onnxruntime.get_available_providers():
            raise DeviceError(
                f"this ONNX Runtime has no {_PROVIDERS[accelerator]}; install onnxruntime-gpu "
                "where there is a CUDA GPU, or use accelerator 'cpu'"
            )

    @property
    def version(self) -> str:
        """ONNX Runtime's version."""
        import onnxruntime

        return str(onnxruntime.__version__)

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

    def _start(self, prepared: Prepared, inputs: Inputs) -> Runnable:
        import onnxruntime

        path = prepared.source
        assert isinstance(path, Path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors come as exceptions; the rest is noise
        with naming(f"ONNX Runtime cannot load {path.name}"):
            session = onnxruntime.InferenceSession(
                str(path), options, providers=[_PROVIDERS[self.accelerator]]
            )
        if self.accelerator == "cuda" and _PROVIDERS["cuda"] not in session.get_providers():
            raise DeviceError(
                "ONNX Runtime cannot use the CUDA GPU; its CUDA and cuDNN libraries do not load"
            )
        return _OnnxRunnable(session, inputs, self.accelerator)


class _OnnxRunnable(Runnable):
    """Inputs and outputs stay where the model runs; a call returns when the work is done."""

    def __init__(self, session: Any, inputs: Inputs, accelerator: str) -> None:
        import onnxruntime

        wanted = [node.name for node in session.get_inputs()]
        check_inputs(wanted, inputs)
        self._session = session
        self._binding = session.io_binding()
        # ONNX Runtime reads the arrays in place, so they must live as long as the binding.
        self._kept: list[Any] = [x.detach().cpu().contiguous().numpy() for x in inputs]
        if accelerator == "cuda":
            make = onnxruntime.OrtValue.ortvalue_from_numpy
            self._kept = [make(array, "cuda", 0) for array in self._kept]
            for name, value in zip(wanted, self._kept, strict=True):
                self._binding.bind_ortvalue_input(name, value)
        else:
            for name, array in zip(wanted, self._kept, strict=True):
                self._binding.bind_cpu_input(name, array)
        for node in session.get_outputs():
            self._binding.bind_output(node.name, accelerator)

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def outputs(self) -> list[Tensor]:
        with naming("ONNX Runtime cannot run the model"):
            self.run()
        return [torch.from_numpy(array) for array in self._binding.copy_outputs_to_cpu()]
