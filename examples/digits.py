"""Search handwritten-digit classifiers under a latency budget measured on this machine.

Run by `make demo`. The budget lies halfway between the fastest and the slowest network of the
space, so it means something on any machine.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from pathlib import Path

import torch

import hwnas
from hwnas.cli import Progress, print_result
from hwnas.zoo import load_space

SHAPE = (1, 8, 8)
JOB, EXPORT = Path("runs/digits"), Path("runs/digits-winner")


def middle_latency() -> float:
    """The geometric mean of the latencies (ms) of the smallest and the largest network."""
    space = load_space("digits_cnn", SHAPE, 10)
    smallest = {"width": 8, "depth": 1, "kernel1": 3}
    largest = {"width": 32, "depth": 3, "kernel1": 5, "kernel2": 5, "kernel3": 5}
    models = [space.build(arch).eval() for arch in (smallest, largest)]
    with hwnas.LocalDevice() as device:
        low, high = device.measure(models, torch.zeros(1, *SHAPE))
    print(
        f"latency on this machine: {low.median:.4f} ms (smallest) to {high.median:.4f} ms (largest)"
    )
    return math.sqrt(low.median * high.median)


def main() -> int:
    """Search, report, export; 3 if nothing keeps the budget."""
    for folder in (JOB, EXPORT):
        shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    with Progress() as progress:
        result = hwnas.search(
            "digits_cnn",
            task="digits",
            budget=f"latency <= {middle_latency():.4f} ms",
            trials=24,
            parallel=2,
            seed=0,
            folder=JOB,
            observer=progress,
        )
    print(f"search: {time.monotonic() - began:.1f} s")
    print_result(result)
    if not result.feasible:
        return 3
    result.report(JOB / "report.html")
    result.export(EXPORT)
    print((EXPORT / "card.md").read_text())
    print(f"report: {JOB / 'report.html'}\nmeasure the winner again: hwnas measure {EXPORT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
