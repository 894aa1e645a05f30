"""The metrics: their canonical units, what kind of quantity they are, and which way is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["count", "memory", "time", "rate", "energy", "power"]


@dataclass(frozen=True)
class Metric:
    """A cost that hwnas knows by name.

    Attributes:
        name: as in budgets and tables.
        unit: the canonical one, in which every number of the metric is; "" for plain counts.
        kind: metrics of one kind share their units.
        better: which way is better.
        on_device: whether it differs between devices, so that `name@device` makes sense.
        meaning: one line for people.
    """

    name: str
    unit: str
    kind: Kind
    better: Literal["lower", "higher"]
    on_device: bool
    meaning: str


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("macs", "", "count", "lower", False, "multiply-accumulates of one forward"),
            Metric("flops", "", "count", "lower", False, "2 x MACs of one forward"),
            Metric("params", "", "count", "lower", False, "parameters, shared ones once"),
            Metric("weight_bytes", "B", "memory", "lower", False, "bytes of the parameters"),
            Metric(
                "peak_activation_bytes", "B", "memory", "lower", False, "activations held at once"
            ),
            Metric("latency", "ms", "time", "lower", True, "time of one call"),
            Metric("throughput", "items/s", "rate", "higher", True, "items per second"),
            Metric("peak_memory", "B", "memory", "lower", True, "largest memory of the process"),
            Metric("energy", "mJ", "energy", "lower", True, "energy of one call"),
            Metric("power", "mW", "power", "lower", True, "mean power while running"),
        )
    }
)
