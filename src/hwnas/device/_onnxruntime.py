"""ONNX Runtime on the CPU: modules are exported to ONNX, ONNX files run as they are."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hwnas.device._base import Inputs, Model, Runnable, Runtime
from hwnas.device._export import export_onnx
from hwnas.errors import DeviceError


class OnnxRuntime(Runtime):
    """ONNX Runtime's CPU provider with all graph optimisations (its default)."""

    name: ClassVar[str] = "onnxruntime"
    reads_onnx: ClassVar[bool] = True

    @property
    def version(self) -> str:
        """ONNX Runtime's version."""
        import onnxruntime

        return str(onnxruntime.__version__)

    def _load(self, model: Model, inputs: Inputs) -> Runnable:
        if not isinstance(model, nn.Module):
            return _OnnxRunnable(self._session(Path(model)), inputs)
        with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
            path = Path(folder) / "model.onnx"
            export_onnx(model, inputs, path)
            return _OnnxRunnable(self._session(path), inputs)

    def _session(self, path: Path) -> Any:
        import onnxruntime

        if not path.is_file():
            raise DeviceError(f"there is no ONNX file {path}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors come as exceptions; the rest is noise
        try:
            return onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise DeviceError(f"ONNX Runtime cannot load {path.name}: {_first(error)}") from error


class _OnnxRunnable(Runnable):
    def __init__(self, session: Any, inputs: Inputs) -> None:
        wanted = [node.name for node in session.get_inputs()]
        if len(wanted) != len(inputs):
            raise DeviceError(
                f"the ONNX model takes {len(wanted)} inputs ({', '.join(wanted)}), "
                f"not {len(inputs)}"
            )
        self._session = session
        self._binding = session.io_binding()
        # ONNX Runtime reads the arrays in place, so they must live as long as the binding.
        self._arrays = [x.detach().cpu().contiguous().numpy() for x in inputs]
        for name, array in zip(wanted, self._arrays, strict=True):
            self._binding.bind_cpu_input(name, array)
        for node in session.get_outputs():
            self._binding.bind_output(node.name, "cpu")
        try:
            self.run()
        except Exception as error:
            raise DeviceError(f"ONNX Runtime cannot run the model: {_first(error)}") from error

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def outputs(self) -> list[Tensor]:
        self.run()
        return [torch.from_numpy(array) for array in self._binding.copy_outputs_to_cpu()]


def _first(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
