"""What an import found out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hwnas.predict._sources import SourceTable


@dataclass(frozen=True)
class DeviceReport:
    """One device that was taken.

    Attributes:
        device: its name in the table.
        measured: the number of archs with a latency.
        distinct: the number of different latencies.
        median: of the latencies, in ms.
        resolution: the step of the timer in ms, where it makes ranks tie; else None.
        notes: what was repaired or passed over, and what to know, a line each.
    """

    device: str
    measured: int
    distinct: int
    median: float
    resolution: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Imported:
    """A table with what its checks found.

    Attributes:
        table: the devices that were taken.
        devices: a report on each of them.
        refused: why the others were not, by device.
        notes: on rows that no device has.
    """

    table: SourceTable
    devices: tuple[DeviceReport, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
