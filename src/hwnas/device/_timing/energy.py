"""Energy by a meter that the hardware has. Where there is none, there is no number.

Also runs on hosts that have no hwnas: see `_remote/bundle.py`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from pathlib import Path

from hwnas.device._timing.runnable import Runnable

_POWERCAP = Path("/sys/class/powercap")
_SECONDS = 1.0  # that a model runs for: counters tick every millisecond, NVML's about every 100


class EnergyMeter(ABC):
    """Counters that only rise. They see all that the processor or GPU does, not one process."""

    name: str

    @abstractmethod
    def read(self) -> list[int]:
        """The counters now."""

    @abstractmethod
    def joules(self, before: list[int], after: list[int]) -> float:
        """The energy between two readings less than a minute apart."""


class Rapl(EnergyMeter):
    """RAPL's counters of processor packages, as Linux shows them (powercap; Intel and AMD)."""

    name = "rapl"

    def __init__(self, zones: list[Path]) -> None:
        self._zones = zones
        self._ranges = [int((zone / "max_energy_range_uj").read_text()) for zone in zones]

    def read(self) -> list[int]:
        return [int((zone / "energy_uj").read_text()) for zone in self._zones]

    def joules(self, before: list[int], after: list[int]) -> float:
        # A counter starts again at zero when it reaches its range.
        spans = zip(before, after, self._ranges)  # noqa: B905 - Python 3.8
        return sum((b - a) % (top + 1) for a, b, top in spans) / 1e6


class Nvml(EnergyMeter):
    """The counter of the first NVIDIA GPU (Volta or newer), through `nvidia-ml-py`."""

    name = "nvml"

    def __init__(self) -> None:
        import pynvml

        pynvml.nvmlInit()
        self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)

    def read(self) -> list[int]:
        import pynvml

        return [int(pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))]

    def joules(self, before: list[int], after: list[int]) -> float:
        return (after[0] - before[0]) / 1e3


def find_meter(accelerator: str, powercap: Path = _POWERCAP) -> EnergyMeter | None:
    """The meter of the CPU or the GPU; None where there is none, or this user may not read it."""
    if accelerator == "cuda":
        try:
            import pynvml
        except ImportError:
            return None
        try:
            meter = Nvml()
            meter.read()
        except pynvml.NVMLError:
            return None
        return meter
    zones = []
    for zone in sorted(powercap.glob("intel-rapl:*")):
        try:
            if (zone / "name").read_text().startswith("package"):
                (zone / "energy_uj").read_text()  # most systems let only root read it
                zones.append(zone)
        except OSError:
            return None
    return Rapl(zones) if zones else None


def energy_of(model: Runnable, meter: EnergyMeter, seconds: float = _SECONDS) -> float:
    """Joules of one call, from calls in a row for some seconds; idle power is part of it."""
    calls, size = 0, 1
    start, before = time.perf_counter(), meter.read()
    while (spent := time.perf_counter() - start) < seconds:
        model.block(size)
        calls += size
        size = max(1, min(2 * size, int(calls * (seconds - spent) / (4 * max(spent, 1e-9)))))
    return meter.joules(before, meter.read()) / calls
