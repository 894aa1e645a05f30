"""OpenVINO without PyTorch: what loads and runs a file, here and on other hosts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwnas.device._faults import naming
from hwnas.device._runtimes.onnxruntime_session import check_inputs
from hwnas.device._timing.runnable import Runnable
from hwnas.errors import DeviceError

# OpenVINO lowers the arithmetic of an fp32 model by itself where that is faster, unless told.
ARITHMETIC = {"fp32": "f32", "int8": "f32", "fp16": "f16", "bf16": "bf16"}
_CAPABILITY = {"fp16": "FP16", "bf16": "BF16", "int8": "INT8"}


def version(precision: str, accelerator: str) -> str:
    """The library's version; DeviceError where it cannot run what is asked for."""
    import openvino

    needed = _CAPABILITY.get(precision)
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if needed and needed not in capabilities:
        raise DeviceError(f"OpenVINO does not compute in {precision} on this processor")
    return str(openvino.__version__)


class Session(Runnable):
    """One stream of requests to the CPU plugin (its latency mode); arguments as for ONNX Runtime's
    `Session`."""

    def __init__(
        self, path: Path, inputs: Sequence[Any], *, threads: int, precision: str, accelerator: str
    ) -> None:
        import openvino

        with naming(f"OpenVINO cannot load {path.name}"):
            core = openvino.Core()
            model = core.read_model(path)
            check_inputs([port.any_name for port in model.inputs], inputs)
            model.reshape({index: list(array.shape) for index, array in enumerate(inputs)})
            compiled = core.compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_NUM_THREADS": threads,
                    "NUM_STREAMS": 1,
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_PRECISION_HINT": ARITHMETIC[precision],
                    "ENABLE_CPU_PINNING": False,  # the worker's affinity holds
                },
            )
        self._request = compiled.create_infer_request()
        for index, array in enumerate(inputs):
            self._request.set_input_tensor(index, openvino.Tensor(array, shared_memory=True))

    def run(self) -> None:
        """One inference."""
        self._request.infer()

    def outputs(self) -> list[Any]:
        """One inference; arrays."""
        with naming("OpenVINO cannot run the model"):
            self.run()
        return [tensor.data.copy() for tensor in self._request.output_tensors]
