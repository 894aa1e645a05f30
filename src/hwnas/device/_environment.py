"""What can be told about this host and process."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from hwnas.device._base import Runtime
from hwnas.device._engine import Usage
from hwnas.device._measurement import Environment


def environment(runtime: Runtime, batch_size: int, clock: str, usage: Usage) -> Environment:
    """The conditions of a measurement that has just ended in this process."""
    return Environment(
        platform=platform.platform(),
        python=platform.python_version(),
        cpu=cpu_name(),
        cores=os.cpu_count() or 1,
        accelerator=runtime.hardware,
        runtime=runtime.name,
        runtime_version=runtime.version,
        torch_version=str(torch.__version__),
        threads=runtime.threads,
        batch_size=batch_size,
        precision=runtime.precision,
        clock=clock,
        load=round(os.getloadavg()[0], 2),
        nice=os.getpriority(os.PRIO_PROCESS, 0),
        affinity=_affinity(),
        involuntary_switches=usage.involuntary_switches,
        minor_faults=usage.minor_faults,
        major_faults=usage.major_faults,
        cpu_share=round(usage.cpu / (usage.wall * runtime.threads), 4),
    )


def cpu_name() -> str:
    """The processor's model, as the system calls it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine() or "unknown"


def _affinity() -> tuple[int, ...] | None:
    if not hasattr(os, "sched_getaffinity"):
        return None
    return tuple(sorted(os.sched_getaffinity(0)))
