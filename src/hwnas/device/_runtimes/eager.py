"""PyTorch eager, on the CPU or a CUDA GPU."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hwnas.device._base import Inputs, Model, Prepared, Runtime
from hwnas.device._runtimes.agreement import flatten
from hwnas.device._timing.memory import PeakMemory
from hwnas.device._timing.runnable import Runnable
from hwnas.errors import DeviceError, ModelFault

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchRuntime(Runtime):
    """Runs modules as they are; ONNX files are not its business."""

    name: ClassVar[str] = "torch"
    precisions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "cpu": tuple(_DTYPES),
        "cuda": tuple(_DTYPES),
    }

    def __init__(
        self, *, threads: int = 1, precision: str = "fp32", accelerator: str = "cpu"
    ) -> None:
        super().__init__(threads=threads, precision=precision, accelerator=accelerator)
        if accelerator == "cuda" and not torch.cuda.is_available():
            raise DeviceError("PyTorch sees no CUDA GPU on this host; use accelerator 'cpu'")

    @property
    def version(self) -> str:
        """PyTorch's version."""
        return str(torch.__version__)

    @property
    def hardware(self) -> str:
        """The GPU's name, or "cpu"."""
        return torch.cuda.get_device_name() if self.accelerator == "cuda" else "cpu"

    @property
    def rounding(self) -> str:
        """On a GPU fp32 convolutions may run in TF32, which has the mantissa of fp16."""
        tf32 = self.accelerator == "cuda" and self.precision == "fp32"
        return "fp16" if tf32 else self.precision

    def _memory(self) -> PeakMemory | None:
        return _CudaMemory() if self.accelerator == "cuda" else super()._memory()

    def _prepare(self, model: Model, inputs: Inputs, folder: Path) -> Prepared:
        if not isinstance(model, nn.Module):
            raise ModelFault(
                f"runtime '{self.name}' runs modules, not files ({Path(model)}); "
                "use runtime 'onnxruntime' for an ONNX file"
            )
        dtype = _DTYPES[self.precision]
        tensors = [*model.parameters(), *model.buffers()]
        size = sum(
            x.numel() * (dtype.itemsize if x.is_floating_point() else x.dtype.itemsize)
            for x in tensors
        )
        return Prepared(model, size)

    def _start(self, prepared: Prepared, inputs: Inputs) -> Runnable:
        assert isinstance(prepared.source, nn.Module)
        torch.set_num_threads(self.threads)
        dtype = _DTYPES[self.precision]
        twin = copy.deepcopy(prepared.source).eval().to(device=self.accelerator, dtype=dtype)
        moved = tuple(
            x.to(self.accelerator, dtype if x.is_floating_point() else x.dtype) for x in inputs
        )
        kind = _CudaRunnable if self.accelerator == "cuda" else _TorchRunnable
        return kind(self._callable(twin), moved)

    def _callable(self, model: nn.Module) -> Callable[..., object]:
        return model


class _TorchRunnable(Runnable):
    def __init__(self, model: Callable[..., object], inputs: Inputs) -> None:
        self._model, self._inputs = model, inputs

    def run(self) -> None:
        self._model(*self._inputs)

    def outputs(self) -> list[Tensor]:
        with torch.inference_mode():
            return [tensor.cpu() for tensor in flatten(self._model(*self._inputs))]

    def block(self, calls: int) -> float:
        with torch.inference_mode():
            return super().block(calls)


class _CudaRunnable(_TorchRunnable):
    clock = "cuda events"

    def block(self, calls: int) -> float:
        # Kernels are queued: the GPU's own clock sees them from the first start to the last end.
        event: Callable[..., Any] = torch.cuda.Event  # its constructor has no annotations
        start, end = event(enable_timing=True), event(enable_timing=True)
        torch.cuda.synchronize()
        with torch.inference_mode():
            start.record()
            for _ in range(calls):
                self.run()
            end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3


class _CudaMemory(PeakMemory):
    """The GPU memory that PyTorch's allocator gave out."""

    def start(self) -> None:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        self._before = torch.cuda.memory_allocated()

    @property
    def bytes(self) -> int | None:
        return None if self._before is None else torch.cuda.max_memory_allocated() - self._before
