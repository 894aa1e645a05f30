"""What can be told about this host and process. Also runs on hosts that have no hwnas."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from hwnas.device._timing.engine import Usage


def conditions(usage: Usage, threads: int) -> dict[str, Any]:
    """The fields of an `Environment` that the host tells, of a timing that has just ended here."""
    cpus = _affinity()
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu": cpu_name(),
        "cores": os.cpu_count() or 1,
        "load": _load(),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "affinity": cpus,
        "involuntary_switches": usage.involuntary_switches,
        "minor_faults": usage.minor_faults,
        "major_faults": usage.major_faults,
        "cpu_share": round(usage.cpu / (usage.wall * threads), 4),
        "cpu_mhz": _megahertz(cpus or ()),
        "celsius": _temperature(),
    }


def cpu_name() -> str:
    """The processor's model, as the system calls it."""
    known: dict[str, str] = {}
    for line in _text("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        known.setdefault(key.strip(), value.strip())
    # ARM kernels name the board instead.
    name = known.get("model name") or known.get("Model") or known.get("Hardware")
    return name or platform.processor() or platform.machine() or "unknown"


def _affinity() -> tuple[int, ...] | None:
    if not hasattr(os, "sched_getaffinity"):
        return None
    return tuple(sorted(os.sched_getaffinity(0)))


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:  # Android keeps it to itself
        return None


def _megahertz(cpus: tuple[int, ...]) -> float | None:
    folder = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"
    found = [text for text in (_text(folder.format(cpu)).strip() for cpu in cpus) if text.isdigit()]
    return min(map(int, found)) / 1e3 if found else None


def _temperature() -> float | None:
    zones = Path("/sys/class/thermal").glob("thermal_zone*/temp")
    found = [text for text in (_text(str(zone)).strip() for zone in zones) if text.isdigit()]
    return max(map(int, found)) / 1e3 if found else None


def _text(path: str) -> str:
    """The content of a file of the system; nothing where there is none, or it may not be read."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""
