"""The registry of metrics, and how light the package is."""

from __future__ import annotations

import subprocess
import sys

from hwnas.cost import METRICS, STATIC_METRICS


def test_every_metric_has_a_unit_and_a_direction() -> None:
    units = {
        "count": "",
        "memory": "B",
        "time": "ms",
        "rate": "items/s",
        "energy": "mJ",
        "power": "mW",
    }
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.unit == units[metric.kind]
    assert [name for name, metric in METRICS.items() if metric.better == "higher"] == ["throughput"]
    assert set(STATIC_METRICS) <= set(METRICS)
    assert not any(METRICS[name].on_device for name in STATIC_METRICS)


def test_the_package_imports_without_torch() -> None:
    code = "import sys, hwnas.cost; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
