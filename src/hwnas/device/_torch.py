"""PyTorch eager, on the CPU or a CUDA GPU."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hwnas.device._agreement import flatten
from hwnas.device._base import Inputs, Model, Runnable, Runtime
from hwnas.errors import DeviceError

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchRuntime(Runtime):
    """Runs modules as they are; ONNX files are not its business."""

    name: ClassVar[str] = "torch"
    precisions: ClassVar[tuple[str, ...]] = tuple(_DTYPES)
    accelerators: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

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

    def _load(self, model: Model, inputs: Inputs) -> Runnable:
        if not isinstance(model, nn.Module):
            raise DeviceError(
                f"runtime 'torch' runs modules, not files ({Path(model)}); "
                "use runtime 'onnxruntime' for an ONNX file"
            )
        torch.set_num_threads(self.threads)
        dtype = _DTYPES[self.precision]
        twin = copy.deepcopy(model).eval().to(device=self.accelerator, dtype=dtype)
        moved = tuple(
            x.to(self.accelerator, dtype if x.is_floating_point() else x.dtype) for x in inputs
        )
        return (_CudaRunnable if self.accelerator == "cuda" else _TorchRunnable)(twin, moved)


class _TorchRunnable(Runnable):
    def __init__(self, model: nn.Module, inputs: Inputs) -> None:
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
