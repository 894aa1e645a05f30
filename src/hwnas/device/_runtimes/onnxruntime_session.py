"""ONNX Runtime without PyTorch: what loads and runs a file, here and on other hosts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwnas.device._faults import naming
from hwnas.device._timing.runnable import Runnable
from hwnas.errors import DeviceError, ModelFault

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def version(precision: str, accelerator: str) -> str:
    """The library's version; DeviceError where it cannot run what is asked for."""
    import onnxruntime

    if _PROVIDERS[accelerator] not in onnxruntime.get_available_providers():
        raise DeviceError(
            f"this ONNX Runtime has no {_PROVIDERS[accelerator]}; install onnxruntime-gpu "
            "where there is a CUDA GPU, or use accelerator 'cpu'"
        )
    return str(onnxruntime.__version__)


class Session(Runnable):
    """Inputs and outputs stay where the model runs; a call returns when the work is done.

    Args:
        path: of the ONNX file.
        inputs: arrays of numpy, C-contiguous; read in place.
    """

    def __init__(
        self, path: Path, inputs: Sequence[Any], *, threads: int, precision: str, accelerator: str
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that wait actively after a call would take the CPUs of the network timed next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 3  # errors come as exceptions; the rest is noise
        provider = _PROVIDERS[accelerator]
        with naming(f"ONNX Runtime cannot load {path.name}"):
            session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
        if provider not in session.get_providers():
            raise DeviceError(
                "ONNX Runtime cannot use the CUDA GPU; its CUDA and cuDNN libraries do not load"
            )
        wanted = [node.name for node in session.get_inputs()]
        check_inputs(wanted, inputs)
        self._session = session
        self._binding = session.io_binding()
        # ONNX Runtime reads the arrays in place, so they must live as long as the binding.
        self._kept = list(inputs)
        if accelerator != "cpu":
            make = onnxruntime.OrtValue.ortvalue_from_numpy
            self._kept = [make(array, accelerator, 0) for array in self._kept]
        for name, value in zip(wanted, self._kept):  # noqa: B905 - Python 3.8; checked above
            if accelerator == "cpu":
                self._binding.bind_cpu_input(name, value)
            else:
                self._binding.bind_ortvalue_input(name, value)
        for node in session.get_outputs():
            self._binding.bind_output(node.name, accelerator)

    def run(self) -> None:
        """One inference."""
        self._session.run_with_iobinding(self._binding)

    def outputs(self) -> list[Any]:
        """One inference; arrays."""
        with naming("ONNX Runtime cannot run the model"):
            self.run()
        return list(self._binding.copy_outputs_to_cpu())


def check_inputs(names: Sequence[str], inputs: Sequence[Any]) -> None:
    """Raise ModelFault unless there is a tensor for each input of the ONNX model."""
    if len(names) != len(inputs):
        raise ModelFault(
            f"the ONNX model takes {len(names)} inputs ({', '.join(names)}), not {len(inputs)}"
        )
