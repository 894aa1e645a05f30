"""`torch.compile`: PyTorch's own compiler (inductor), on the CPU or a CUDA GPU."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import ClassVar

import torch
from torch import Tensor, nn

from hwnas.device._runtimes.eager import TorchRuntime
from hwnas.errors import DeviceError


class TorchCompileRuntime(TorchRuntime):
    """Compiles modules with inductor for the shapes of their inputs.

    On the CPU the first call of a new network takes many seconds, and a C++ compiler. On a GPU it
    replays a CUDA graph (`mode="reduce-overhead"`), which saves the launches of small kernels.
    """

    name: ClassVar[str] = "torch-compile"
    time_limit: ClassVar[float] = 600.0
    copies: ClassVar[int] = 1  # each would be compiled

    def __init__(
        self, *, threads: int = 1, precision: str = "fp32", accelerator: str = "cpu"
    ) -> None:
        super().__init__(threads=threads, precision=precision, accelerator=accelerator)
        if accelerator == "cpu":
            from torch._inductor.cpp_builder import get_cpp_compiler
            from torch._inductor.exc import InvalidCxxCompiler

            try:
                get_cpp_compiler()
            except InvalidCxxCompiler as error:
                raise DeviceError(
                    "runtime 'torch-compile' needs a C++ compiler on the CPU and finds none; "
                    "install g++ or clang++, or name it in the environment variable CXX"
                ) from error

    def _callable(self, model: nn.Module) -> Callable[..., object]:
        def call(*inputs: Tensor) -> object:
            return model(*inputs)

        # Dynamo keeps compiled code by code object, and after eight variants of one it silently
        # runs eagerly. All networks of a class share the code of its forward.
        own = FunctionType(call.__code__.replace(), globals(), closure=call.__closure__)
        mode = "reduce-overhead" if self.accelerator == "cuda" else "default"
        compiled: Callable[..., object] = torch.compile(own, dynamic=False, mode=mode)
        return compiled
