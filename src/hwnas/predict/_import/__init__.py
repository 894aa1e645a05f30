"""Latency tables of others, read and checked; and tables of sources as files."""

from __future__ import annotations

from hwnas.predict._import.candidates import ScoredArchs, read_scored
from hwnas.predict._import.files import add_sources, load_sources, save_sources
from hwnas.predict._import.read import read_sources
from hwnas.predict._import.report import DeviceReport, Imported

__all__ = [
    "DeviceReport",
    "Imported",
    "ScoredArchs",
    "add_sources",
    "load_sources",
    "read_scored",
    "read_sources",
    "save_sources",
]
