"""The measuring process on hosts that have no hwnas: `python -m` this module."""

from __future__ import annotations

import importlib
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hwnas.device._remote.arrays import pack_arrays, unpack_arrays
from hwnas.device._timing.memory import PeakMemory
from hwnas.device._timing.runnable import Runnable, started_copies
from hwnas.device._worker.serving import Loaded, Worker, serve
from hwnas.errors import DeviceError


class _AgentWorker(Worker):
    """Loads prepared files with a runtime's session; outputs are sent back to be checked."""

    def __init__(self, settings: dict[str, Any], parts: list[bytes]) -> None:
        self._settings = settings
        python = f"{sys.executable} (Python {platform.python_version()})"
        try:
            self._module = importlib.import_module(settings["session"])
            self._version = self._module.version(settings["precision"], settings["accelerator"])
        except ModuleNotFoundError as error:
            raise DeviceError(
                f"{python} there has no '{error.name}'; install it with "
                f"'{sys.executable} -m pip install {error.name}', or name another Python"
            ) from error
        except ImportError as error:
            raise DeviceError(f"{python} there cannot load the runtime: {error}") from error
        entry = {"name": "canary", "file": 0, "inputs": 1, "size": 0}
        self.canary, outputs = self._start(entry, parts)
        self.greeting = [pack_arrays(outputs)]

    def load(self, entry: dict[str, Any], parts: list[bytes]) -> Loaded:
        """The model of a file that was sent."""
        copies, outputs = self._start(entry, parts)
        return Loaded(copies, pack_arrays(outputs))

    def facts(self) -> dict[str, Any]:
        """Of the runtime; PyTorch is not asked for."""
        accelerator = self._settings["accelerator"]
        return {
            "accelerator": _gpu_name() if accelerator == "cuda" else accelerator,
            "runtime": self._settings["runtime"],
            "runtime_version": self._version,
            "torch_version": None,
        }

    def _start(self, entry: dict[str, Any], parts: list[bytes]) -> tuple[list[Runnable], list[Any]]:
        settings = self._settings
        on_cpu = settings["accelerator"] == "cpu"
        packed = parts[entry["inputs"]]
        with tempfile.TemporaryDirectory(prefix="hwnas-", dir=".") as folder:
            path = Path(folder) / Path(entry["name"]).name
            path.write_bytes(parts[entry["file"]])
            return started_copies(
                lambda inputs: self._module.Session(
                    path,
                    inputs,
                    threads=settings["threads"],
                    precision=settings["precision"],
                    accelerator=settings["accelerator"],
                ),
                [unpack_arrays(packed) for _ in range(settings["copies"])],
                entry["size"],
                PeakMemory() if on_cpu else None,
                one_thread=on_cpu and settings["threads"] == 1,
            )


def _gpu_name() -> str:
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader", "--id=0"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "cuda"
    return done.stdout.strip()


if __name__ == "__main__":
    serve(_AgentWorker)
