"""Figures of other tools, measured in the same run where `make peers` has installed them."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NNI = "NNI 3.0"

RECORDED: dict[str, Any] = {
    "spaces": {
        "mobilenetv3": {
            "construction": (0.525, True),
            "one": (0.0194, True),
            "expectation": (60, False),
            "feasible": (313, True),
        },
        "proxylessnas": {
            "construction": (2.34, True),
            "one": (4.1e-5, True),
            "expectation": (0.010, True),
            "feasible": (13.85, True),
        },
    },
    "hub": {"works": 4, "of": 10},
    "modules": {"exact": 12, "of": 53},
}
"""NNI's on 2 cores with PyTorch 2.13 and 1 thread: seconds, and whether it came to its end."""


@dataclass(frozen=True)
class Nni:
    """The figures of NNI: `measured` here, or those recorded. As `RECORDED`."""

    figures: dict[str, Any]
    measured: bool

    def seconds(self, space: str, figure: str) -> tuple[float, str]:
        """How long it took on a space of its own, and the tool's name, saying if it was stopped."""
        value, ended = self.figures["spaces"][space][figure]
        return value, NNI if ended else f"{NNI}, stopped"

    def share(self, what: str, part: str) -> float:
        """The share of `what` that it can do."""
        counts = self.figures[what]
        return float(counts[part] / counts["of"])


def nni(limit: float) -> Nni:
    """Measure NNI, each figure for at most `limit` seconds, if it is installed.

    It is looked for in `.peers/nni`, or in the environment whose Python `HWNAS_PEER_NNI` names.
    """
    python = Path(os.environ.get("HWNAS_PEER_NNI", ROOT / ".peers" / "nni" / "bin" / "python"))
    if not python.exists():
        return Nni(RECORDED, False)
    done = subprocess.run(
        [str(python), str(ROOT / "benchmarks" / "_peer_nni.py"), str(limit)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
    )
    return Nni(json.loads(done.stdout.splitlines()[-1]), True)
