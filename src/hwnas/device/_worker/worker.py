"""The measuring process of this host: `python -m hwnas.device._worker.worker`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cloudpickle
import safetensors.torch
import torch

from hwnas import _plugins
from hwnas.device._base import Inputs, Model, Runtime
from hwnas.device._canary import load_canary
from hwnas.device._worker.serving import Loaded, Worker, serve


class _LocalWorker(Worker):
    """Loads ONNX files and modules with a runtime of this Python."""

    def __init__(self, settings: dict[str, Any], parts: list[bytes]) -> None:
        self._check = settings["check"]
        self._runtime: Runtime = _plugins.load("runtimes", settings["runtime"])(
            threads=settings["threads"],
            precision=settings["precision"],
            accelerator=settings["accelerator"],
        )
        self._copies: int = settings["copies"]
        self.canary = load_canary(self._runtime, self._copies)

    def load(self, entry: dict[str, Any], parts: list[bytes]) -> Loaded:
        """The model, checked against the eager one."""
        named = safetensors.torch.load(parts[entry["inputs"]])
        tensors: Inputs = tuple(named[str(index)] for index in range(len(named)))
        source: Model
        if "onnx" in entry:
            source = Path(entry["onnx"])
        else:
            # The bytes come from the process that started this one, over a private pipe: its own
            # objects, not data from outside.
            source = cloudpickle.loads(parts[entry["module"]])
        copies = self._runtime.load_copies(source, tensors, self._copies, check=self._check)
        return Loaded(copies)

    def facts(self) -> dict[str, Any]:
        """Of the runtime, and PyTorch's version."""
        return {
            "accelerator": self._runtime.hardware,
            "runtime": self._runtime.name,
            "runtime_version": self._runtime.version,
            "torch_version": str(torch.__version__),
        }


if __name__ == "__main__":
    serve(_LocalWorker)
