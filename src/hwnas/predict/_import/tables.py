"""Tables with an arch and latencies in each row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hwnas.errors import ArchError, PredictError
from hwnas.predict._import.archs import ArchReader
from hwnas.predict._import.cells import Cells
from hwnas.predict._import.raw import Column, RawTable, licence_near
from hwnas.predict._sources import RESOLUTION, arch_key
from hwnas.space import Arch, SearchSpace

ARCH, DEVICE, LATENCY = "arch", "device", "latency"
STORE_COLUMNS = {"kind", "description", "device", "metric", "median"}
"""Columns of an exported measurement store that are read here."""


class Rows:
    """Gathers rows into a `RawTable`: archs each once, latencies by device."""

    def __init__(self, path: Path, cells: Cells) -> None:
        self.table = RawTable(
            [], faults=list(cells.faults), row=cells.row, licence=licence_near(path.parent)
        )
        self._path = path
        self._places: dict[str, int] = {}

    def place(self, number: int, read: Callable[[Any], Arch], cell: object) -> int | None:
        """The place of the arch that a row's cell is; None, and a fault is noted, if it is none."""
        try:
            arch = read(cell)
        except ArchError as error:
            self.table.faults.append(f"{self.table.row} {number}: {error}")
            return None
        place = self._places.setdefault(arch_key(arch), len(self._places))
        if place == len(self.table.archs):
            self.table.archs.append(arch)
        return place

    def put(self, device: str, number: int, place: int, value: object) -> None:
        """A latency (ms), or what stands in its place."""
        column = self.table.columns.get(device)
        if column is None:
            column = self.table.columns[device] = Column([], [], [], str(self._path))
        column.values.append(value)
        column.rows.append(number)
        column.archs.append(place)

    def keep(self, devices: Sequence[str]) -> None:
        """Leave out other devices; PredictError if one is not there."""
        _check_devices(self._path, devices, list(self.table.columns))
        if devices:
            self.table.columns = {name: self.table.columns[name] for name in devices}


def read_table(path: Path, cells: Cells, archs: ArchReader, devices: Sequence[str]) -> RawTable:
    """Rows with an `arch`, and either `device` and `latency` or a column for each device.

    Raises:
        PredictError: there are no such columns, or a device is not there.
    """
    if ARCH not in cells.names:
        raise PredictError(f"{path} has no column '{ARCH}'; it has {', '.join(cells.names)}")
    long = {DEVICE, LATENCY} <= set(cells.names)
    others = [name for name in cells.names if name != ARCH]
    if not long:
        _check_devices(path, devices, others)
    rows = Rows(path, cells)
    for number, row in zip(cells.numbers, cells.rows, strict=True):
        place = rows.place(number, archs.read, row[ARCH])
        if place is None:
            continue
        if long:
            rows.put(str(row[DEVICE]), number, place, row[LATENCY])
        else:
            for name in devices or others:
                rows.put(name, number, place, row[name])
    if long:
        rows.keep(devices)
    return rows.table


def read_measurements(
    path: Path,
    cells: Cells,
    archs: ArchReader,
    devices: Sequence[str],
    input_shape: tuple[int, ...] | None,
) -> RawTable:
    """An exported measurement store: latencies of whole networks of the space.

    Those are told by their description: the `fingerprint` of the space, the hash of its `code`, the
    `arch`, and the shape of the `input`. A device that measured under several conditions (threads,
    batch sizes, ...) counts as several, and each is named by what differs. Where inputs differ,
    archs have their `resolution`.

    Args:
        input_shape: (C, H, W) of those to take, if not of all.

    Raises:
        PredictError: a device is not there.
    """
    rows = Rows(path, cells)
    found = [one for one in _networks(cells, archs.space) if input_shape in (None, one.input_shape)]
    shapes = {one.input_shape for one in found}
    if len(shapes) == 1:
        (rows.table.input_shape,) = shapes
    names = _names([one.row for one in found])
    for one, name in zip(found, names, strict=True):
        arch = one.arch
        if len(shapes) > 1:
            arch = {**arch, RESOLUTION: one.input_shape[-1]}
        place = rows.place(one.number, archs.read, arch)
        if place is not None:
            rows.put(name, one.number, place, one.row["median"])
    if others := len(cells.rows) - len(found):
        rows.table.notes.append(f"{others} measurements of other things are passed over")
    rows.keep(devices)
    return rows.table


class _Network(NamedTuple):
    """A measurement of a network."""

    number: int
    row: dict[str, Any]
    arch: dict[str, Any]
    input_shape: tuple[int, ...]


def _networks(cells: Cells, space: SearchSpace) -> Iterator[_Network]:
    wanted = {"fingerprint": space.fingerprint, "code": space.code_hash}
    for number, row in zip(cells.numbers, cells.rows, strict=True):
        if row["kind"] != "network" or row["metric"] != LATENCY:
            continue
        try:
            description = json.loads(row["description"])
        except (TypeError, ValueError, RecursionError):
            continue
        if not isinstance(description, dict) or not isinstance(description.get(ARCH), dict):
            continue
        shape = description.get("input")
        if not isinstance(shape, list) or len(shape) < 2 or any(type(n) is not int for n in shape):
            continue
        if all(description.get(name) == value for name, value in wanted.items()):
            yield _Network(number, row, description[ARCH], tuple(shape[1:]))


_CONDITIONS = ("runtime", "runtime_version", "threads", "batch_size", "precision", "accelerator")


def _names(rows: Sequence[dict[str, Any]]) -> list[str]:
    """For each row the device, with the conditions that not all rows of that device share."""
    seen: dict[str, dict[str, set[str]]] = {}
    for row in rows:
        of = seen.setdefault(str(row[DEVICE]), {name: set() for name in _CONDITIONS})
        for name in _CONDITIONS:
            of[name].add(str(row.get(name)))
    names = []
    for row in rows:
        device = str(row[DEVICE])
        differing = [name for name in _CONDITIONS if len(seen[device][name]) > 1]
        told = ", ".join(f"{name} {row.get(name)}" for name in differing)
        names.append(f"{device} ({told})" if told else device)
    return names


def _check_devices(path: Path, wanted: Sequence[str], known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            raise PredictError(
                f"{path} has no device '{name}'; it has {', '.join(known) or 'none'}"
            )
