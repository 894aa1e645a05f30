"""Files and folders with latencies, as a checked table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hwnas.errors import PredictError, UsageError
from hwnas.predict._import.archs import ArchReader
from hwnas.predict._import.cells import read_cells
from hwnas.predict._import.checks import MOST_BROKEN, checked, clean_name
from hwnas.predict._import.hat_table import COLUMNS as HAT_COLUMNS
from hwnas.predict._import.hat_table import read_hat_table
from hwnas.predict._import.help_folder import find_help_folder, read_help_folder
from hwnas.predict._import.raw import RawTable
from hwnas.predict._import.report import Imported
from hwnas.predict._import.tables import STORE_COLUMNS, read_measurements, read_table
from hwnas.predict._sources import Provenance, SourceTable
from hwnas.space import SearchSpace
from hwnas.zoo import load_space

_SHOWN = 3


def read_sources(
    path: Path | str,
    space: str | SearchSpace,
    *,
    devices: Sequence[str] = (),
    strict: bool = False,
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
) -> Imported:
    """Latencies measured elsewhere, checked; what is of no use is left out and told.

    What is read:
        - a folder in the layout of HELP's data (`latency/DEVICE.pt` and the archs beside it), of
          one space or of several; nothing in it is ever run;
        - `.csv` or `.parquet` with a column `arch` (JSON, or the notation published with a space
          of the zoo), and either `device` and `latency` or a column for each device, in ms;
        - a table of HAT, told by its columns;
        - a measurement store's export, of networks stored with their `arch`.

    What is repaired, with a note: latencies that are no positive number, or below 1 % of the
    device's median, are made missing; of several latencies of an arch the median is taken; rows
    without an arch of the space are passed over. A device with more than 10 % of such latencies,
    with a wrong number of them, or with all of them equal, is refused; the others are taken.

    Args:
        space: name of a space of the zoo, a reference `module:name`, or the space itself.
        devices: those to take; by default all.
        strict: refuse a device whose latencies would have to be repaired, and a file whose rows.
        input_shape, num_classes: what the space is made for, if it is made by a class or function;
            see `SourceTable`.

    Raises:
        PredictError: the file cannot be read, or no device can be taken.
        UsageError: it is of a kind that is not known.
    """
    raw = _raw(Path(path), space, devices, input_shape, num_classes)
    _judge_rows(path, raw, strict=strict)
    if None not in (input_shape, raw.input_shape) and input_shape != raw.input_shape:
        raise PredictError(f"{path} is about inputs {raw.input_shape}, not {input_shape}")
    latencies, reports, provenance = {}, [], {}
    refused = dict(raw.refused)
    for device, column in raw.columns.items():
        try:
            name = clean_name(device)
            if name in latencies:
                raise PredictError("two devices of this name")
            values, report = checked(name, column, len(raw.archs), row=raw.row, strict=strict)
        except PredictError as error:
            refused[device] = str(error)
            continue
        latencies[name] = values
        reports.append(report)
        provenance[name] = Provenance(
            column.source, raw.licence, (*raw.notes, *report.notes), report.resolution
        )
    if not latencies:
        told = "; ".join(f"'{device}': {why}" for device, why in list(refused.items())[:_SHOWN])
        raise PredictError(f"{path} has no device that can be taken{': ' if told else ''}{told}")
    shape = input_shape or raw.input_shape
    table = SourceTable(space, tuple(raw.archs), latencies, provenance, shape, num_classes)
    return Imported(table, tuple(reports), refused, (*raw.notes, *raw.faults))


def _raw(
    path: Path,
    space: str | SearchSpace,
    devices: Sequence[str],
    input_shape: tuple[int, ...] | None,
    num_classes: int | None,
) -> RawTable:
    name = space if isinstance(space, str) else ""
    if path.is_dir():
        folder = find_help_folder(path, name)
        if folder is None:
            raise PredictError(f"{path} holds no folder 'latency' with devices of that space")
        return read_help_folder(folder, name, devices)
    if path.suffix not in (".csv", ".parquet"):
        raise UsageError(f"{path}: give a folder in HELP's layout, or a .csv or .parquet file")
    cells = read_cells(path)
    if set(cells.names) >= HAT_COLUMNS:
        if name != "hat":
            raise PredictError(f"{path} is a table of HAT, whose space is 'hat'")
        return read_hat_table(path, cells, devices)
    found = load_space(space, input_shape, num_classes) if isinstance(space, str) else space
    archs = ArchReader(name, found)
    if set(cells.names) >= STORE_COLUMNS:
        return read_measurements(path, cells, archs, devices, input_shape)
    return read_table(path, cells, archs, devices)


def _judge_rows(path: Path | str, raw: RawTable, *, strict: bool) -> None:
    """Rows without an arch: a few are passed over, many mean another space or file."""
    if not raw.archs and not raw.faults:
        raise PredictError(f"{path} holds no archs with latencies")
    many = len(raw.faults) > MOST_BROKEN * (len(raw.faults) + len(raw.archs))
    if raw.faults and (strict or many):
        more = f" (and {len(raw.faults) - 1} more)" if len(raw.faults) > 1 else ""
        raise PredictError(f"{path}, {raw.faults[0]}{more}")
