"""Measurement stores as tables: CSV and Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwnas._files import replacing
from hwnas.device._store.store import COLUMNS, MeasurementStore, Stored
from hwnas.errors import DeviceError

_NUMBERS = ("median", "low", "high", "raw_median", "confidence", "n", "unit", "converged")
"""Fields of the measurement as columns of their own, for those who read the table."""

_CELL = 1 << 24


def export_store(store: MeasurementStore, path: Path | str, **conditions: str | int) -> int:
    """Write the measurements of `store` to a `.csv` or `.parquet` file, which is whole or absent.

    Args:
        conditions: as for `MeasurementStore.get`.

    Returns:
        the number of rows.

    Raises:
        DeviceError: another suffix, or Parquet without pyarrow.
    """
    path = Path(path)
    rows = [_wide(one) for one in store.all(**conditions)]
    names = [*COLUMNS, *_NUMBERS]
    if path.suffix == ".csv":
        with replacing(path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
    else:
        arrow, parquet = _parquet(path)
        table = arrow.table({name: [row[name] for row in rows] for name in names})
        with replacing(path) as temporary:
            parquet.write_table(table, temporary)
    return len(rows)


def import_store(store: MeasurementStore, path: Path | str) -> int:
    """Put the rows of a file that `export_store` wrote into `store`: all, or none if one is broken.

    Returns:
        how many were new; rows that the store has already are passed over.

    Raises:
        DeviceError: the file cannot be read, or a row is malformed; the message names the row.
    """
    path = Path(path)
    found = []
    for number, row in enumerate(_rows(path), start=1):
        try:
            found.append(Stored.from_row(row))
        except DeviceError as error:
            raise DeviceError(f"{path}, row {number}: {error}") from error
    return store.put_all(found)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        if path.suffix == ".csv":
            csv.field_size_limit(_CELL)
            with open(path, newline="", encoding="utf-8") as file:
                yield from csv.DictReader(file)
        else:
            _, parquet = _parquet(path)
            yield from parquet.read_table(path).to_pylist()
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors
        raise DeviceError(f"{path} cannot be read: {error}") from error


def _wide(one: Stored) -> dict[str, Any]:
    return one.row() | {name: getattr(one.measurement, name) for name in _NUMBERS}


def _parquet(path: Path) -> tuple[Any, Any]:
    if path.suffix != ".parquet":
        raise DeviceError(f"{path}: a store is exported to .csv or .parquet, not '{path.suffix}'")
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DeviceError(
            f"{path}: Parquet needs pyarrow (pip install 'hwnas[parquet]'); .csv does not"
        ) from error
    return pyarrow, pyarrow.parquet
