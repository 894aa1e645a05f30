"""OpenVINO on the CPU (extra `openvino`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from hwnas.device._base import Inputs, Prepared, Runnable
from hwnas.device._faults import naming
from hwnas.device._onnx import OnnxFileRuntime, check_inputs
from hwnas.errors import DeviceError

# OpenVINO lowers the arithmetic of an fp32 model by itself where that is faster, unless told.
_ARITHMETIC = {"fp32": "f32", "int8": "f32", "fp16": "f16", "bf16": "bf16"}
_CAPABILITY = {"fp16": "FP16", "bf16": "BF16", "int8": "INT8"}


class OpenVinoRuntime(OnnxFileRuntime):
    """OpenVINO's CPU plugin for one stream of requests (its latency mode).

    fp16 and bf16 are there where the processor computes in them. int8 models are quantised by
    ONNX Runtime's tool and run by OpenVINO's 8-bit kernels.
    """

    name: ClassVar[str] = "openvino"
    precisions: ClassVar[Mapping[str, tuple[str, ...]]] = {"cpu": tuple(_ARITHMETIC)}
    _converted: ClassVar[tuple[str, ...]] = ("int8",)

    def __init__(
        self, *, threads: int = 1, precision: str = "fp32", accelerator: str = "cpu"
    ) -> None:
        super().__init__(threads=threads, precision=precision, accelerator=accelerator)
        try:
            import openvino
        except ImportError as error:
            raise DeviceError("OpenVINO is not installed; pip install 'hwnas[openvino]'") from error
        self._core = openvino.Core()
        needed = _CAPABILITY.get(precision)
        if needed and needed not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise DeviceError(f"OpenVINO does not compute in {precision} on this processor")

    @property
    def version(self) -> str:
        """OpenVINO's version."""
        import openvino

        return str(openvino.__version__)

    def _start(self, prepared: Prepared, inputs: Inputs) -> Runnable:
        path = prepared.source
        assert isinstance(path, Path)
        with naming(f"OpenVINO cannot load {path.name}"):
            model = self._core.read_model(path)
            check_inputs([port.any_name for port in model.inputs], inputs)
            model.reshape(
                dict(zip(range(len(inputs)), (list(x.shape) for x in inputs), strict=True))
            )
            compiled = self._core.compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_NUM_THREADS": self.threads,
                    "NUM_STREAMS": 1,
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_PRECISION_HINT": _ARITHMETIC[self.precision],
                    "ENABLE_CPU_PINNING": False,  # the worker's affinity holds
                },
            )
        return _OpenVinoRunnable(compiled, inputs)


class _OpenVinoRunnable(Runnable):
    def __init__(self, compiled: Any, inputs: Inputs) -> None:
        import openvino

        self._request = compiled.create_infer_request()
        for index, x in enumerate(inputs):
            array = x.detach().cpu().contiguous().numpy()
            self._request.set_input_tensor(index, openvino.Tensor(array, shared_memory=True))

    def run(self) -> None:
        self._request.infer()

    def outputs(self) -> list[Tensor]:
        with naming("OpenVINO cannot run the model"):
            self.run()
        return [torch.from_numpy(tensor.data.copy()) for tensor in self._request.output_tensors]
