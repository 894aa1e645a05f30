"""ExecuTorch with XNNPACK, the runtime of phones and boards (extra `executorch`)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hwnas.device._base import Inputs, Model, Prepared, Runtime
from hwnas.device._faults import naming
from hwnas.device._runtimes.agreement import flatten
from hwnas.device._runtimes.quiet import quiet
from hwnas.device._timing.runnable import Runnable
from hwnas.errors import DeviceError, ModelFault


class ExecuTorchRuntime(Runtime):
    """Exports modules, lowers them to XNNPACK and runs the program that a phone would load.

    What XNNPACK does not take runs in ExecuTorch's portable kernels, as it would there. `int8` is
    static quantisation by XNNPACK's quantiser, weights per channel.
    """

    name: ClassVar[str] = "executorch"
    time_limit: ClassVar[float] = 600.0
    precisions: ClassVar[Mapping[str, tuple[str, ...]]] = {"cpu": ("fp32", "fp16", "int8")}

    def __init__(
        self, *, threads: int = 1, precision: str = "fp32", accelerator: str = "cpu"
    ) -> None:
        super().__init__(threads=threads, precision=precision, accelerator=accelerator)
        if find_spec("executorch") is None:
            raise DeviceError("ExecuTorch is not installed; pip install 'hwnas[executorch]'")

    @property
    def version(self) -> str:
        """ExecuTorch's version."""
        from importlib.metadata import version

        return version("executorch")

    def _prepare(self, model: Model, inputs: Inputs, folder: Path) -> Prepared:
        if not isinstance(model, nn.Module):
            raise ModelFault(
                f"runtime 'executorch' exports modules, it reads no ONNX files ({Path(model)}); "
                "use runtime 'onnxruntime' for an ONNX file"
            )
        twin = copy.deepcopy(model).cpu().eval()
        tensors = tuple(x.cpu() for x in inputs)
        if self.precision == "fp16":
            twin, tensors = twin.half(), _half(tensors)
        path = folder / "model.pte"
        name = type(model).__name__
        with naming(f"{name} cannot be exported to ExecuTorch"), quiet(), torch.no_grad():
            path.write_bytes(_lower(twin, tensors, quantise=self.precision == "int8"))
        return Prepared(path, path.stat().st_size)

    def _start(self, prepared: Prepared, inputs: Inputs) -> Runnable:
        from executorch.extension.pybindings import portable_lib
        from executorch.runtime import Runtime as Program

        if portable_lib._threadpool_get_thread_count() != self.threads:
            portable_lib._unsafe_reset_threadpool(self.threads)  # unsafe while a model runs
        tensors = tuple(x.detach().cpu().contiguous() for x in inputs)
        if self.precision == "fp16":
            tensors = _half(tensors)
        path = prepared.source
        assert isinstance(path, Path)
        with naming("ExecuTorch cannot load the program"):
            program = Program.get().load_program(path.read_bytes())
            return _ExecuTorchRunnable(program, tensors)


class _ExecuTorchRunnable(Runnable):
    def __init__(self, program: Any, inputs: Inputs) -> None:
        self._program, self._inputs = program, inputs  # the method reads the program's memory
        self._execute = program.load_method("forward").execute

    def run(self) -> None:
        self._execute(self._inputs)

    def outputs(self) -> list[Tensor]:
        with naming("ExecuTorch cannot run the model"):
            return [tensor.clone() for tensor in flatten(self._execute(self._inputs))]


def _lower(model: nn.Module, inputs: Inputs, *, quantise: bool) -> bytes:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    program = torch.export.export(model, inputs)
    if quantise:
        program = torch.export.export(_quantised(program, inputs), inputs)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    return bytes(lowered.to_executorch().buffer)


def _quantised(program: Any, inputs: Inputs) -> nn.Module:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantiser = XNNPACKQuantizer().set_global(
        get_symmetric_quantization_config(is_per_channel=True)
    )
    observed = prepare_pt2e(program.module(), quantiser)
    observed(*inputs)
    quantised: nn.Module = convert_pt2e(observed)
    return quantised


def _half(inputs: Inputs) -> Inputs:
    return tuple(x.half() if x.is_floating_point() else x for x in inputs)
