"""Checks of a device's latencies: what is broken, what ties."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import PredictError
from hwnas.predict._import.raw import Column
from hwnas.predict._import.report import DeviceReport

_BROKEN_BELOW = 0.01
"""Share of the device's median. Published tables hold a few rows of .01 ms among ones of 25 ms:
what was not run at all."""

MOST_BROKEN = 0.1
"""Share of rows. More of them are not an accident of measuring: the file is another than meant."""

_STEPS = (1000.0, 100.0, 10.0, 1.0, 0.1, 0.01, 0.001)
_SHOWN = 5


def clean_name(name: str) -> str:
    """The name of a device, as it may stand in files, options and tables.

    Raises:
        PredictError: it is empty, long, or has characters that mean something to a path or a
            terminal.
    """
    trimmed = name.strip()
    if not trimmed or len(trimmed) > 100 or not trimmed.isprintable():
        raise PredictError(f"{name[:40]!r} is no name of a device: 1 to 100 printable characters")
    if set(trimmed) & {"/", "\\"} or trimmed.startswith((".", "-")):
        raise PredictError(f"{name!r} is no name of a device: it looks like a path or an option")
    return trimmed


def checked(
    device: str, column: Column, count: int, *, row: str, strict: bool
) -> tuple[NDArray[np.float64], DeviceReport]:
    """Latencies for each of `count` archs, NaN where there is none, and what was found.

    Raises:
        PredictError: the device is of no use; with `strict`, if anything had to be repaired.
    """
    notes: list[str] = []
    values, broken = _numbers(column.values)
    there = values[~np.isnan(values)]
    if not there.size and not broken:
        raise PredictError("it has no measurement")
    limit = _BROKEN_BELOW * float(np.median(there)) if there.size else 0.0
    for place in np.flatnonzero(values < limit).tolist():
        broken[place] = f"{values[place]:.3g} ms"
    if broken:
        told = [f"{row} {column.rows[place]} ({broken[place]})" for place in sorted(broken)]
        text = f"{len(told)} of {len(values)} {row}s are no latencies, or below 1 % of the median: "
        text += ", ".join(told[:_SHOWN]) + (" ..." if len(told) > _SHOWN else "")
        if strict or len(broken) > MOST_BROKEN * len(values):
            raise PredictError(text)
        notes.append(f"made missing: {text}")
        values[list(broken)] = math.nan
    latencies, several = _by_arch(values, column.archs, count)
    if several:
        text = f"{several} archs have several latencies; their median is taken"
        if strict:
            raise PredictError(text)
        notes.append(text)
    there = latencies[~np.isnan(latencies)]
    distinct = np.unique(there).size
    if distinct == 1 and there.size > 1:
        raise PredictError(f"all {there.size} latencies are {there[0]:.4g} ms")
    step = _resolution(there) if 2 * distinct <= there.size else None
    if 2 * distinct <= there.size:
        what = f"whole steps of {step:g} ms: " if step else ""
        notes.append(f"{what}{distinct} distinct values in {there.size} rows, so ranks tie")
    median = float(np.median(there))
    return latencies, DeviceReport(device, there.size, distinct, median, step, tuple(notes))


def _numbers(cells: Sequence[object]) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Positive finite numbers, NaN elsewhere; and why, for those that are there but wrong."""
    values = np.full(len(cells), math.nan)
    broken: dict[int, str] = {}
    for place, cell in enumerate(cells):
        if cell is None or (isinstance(cell, str) and cell.strip().lower() in ("", "nan", "na")):
            continue
        try:
            if isinstance(cell, bool) or not isinstance(cell, int | float | str):
                raise ValueError
            number = float(cell)
        except (ValueError, OverflowError):
            broken[place] = f"{str(cell)[:20]!r} is no number"
            continue
        if math.isnan(number):
            continue
        if 0 < number < math.inf:
            values[place] = number
        else:
            broken[place] = f"{number:g} is no latency"
    return values, broken


def _by_arch(
    values: NDArray[np.float64], archs: Sequence[int], count: int
) -> tuple[NDArray[np.float64], int]:
    """One latency per arch; and how many archs had several."""
    there = np.flatnonzero(~np.isnan(values))
    places = np.asarray(archs, np.int64)[there]
    latencies = np.full(count, math.nan)
    latencies[places] = values[there]
    often = np.flatnonzero(np.bincount(places, minlength=count) > 1)
    for place in often.tolist():
        latencies[place] = float(np.median(values[there[places == place]]))
    return latencies, often.size


def _resolution(values: NDArray[np.float64]) -> float | None:
    """The coarsest of the usual steps that all values are whole multiples of, if any."""
    for step in _STEPS:
        counts = values / step
        if np.all(np.abs(counts - np.round(counts)) <= 1e-9 * np.maximum(1, np.abs(counts))):
            return step
    return None
