"""CSV and Parquet files as rows of cells."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import PredictError

_LONGEST = 1 << 24
"""Characters of a cell: an exported measurement with its samples is far longer than csv's limit."""


@dataclass(frozen=True)
class Cells:
    """A table as it stands in a file.

    Attributes:
        names: of the columns.
        rows: cells by the column's name.
        numbers: of the rows, as a message should name them.
        row: what a row is called: `line` of a CSV file, `row` of Parquet.
        faults: rows that were passed over since they have no such cells, with their place.
    """

    names: tuple[str, ...]
    rows: list[dict[str, Any]]
    numbers: list[int]
    row: str
    faults: list[str]


def read_cells(path: Path) -> Cells:
    """The table in a `.csv` or `.parquet` file.

    Raises:
        PredictError: it cannot be read; or two columns have one name.
    """
    cells = _csv(path) if path.suffix == ".csv" else _parquet(path)
    _refuse_doubles(path, cells.names)
    return cells


def _csv(path: Path) -> Cells:
    csv.field_size_limit(_LONGEST)
    rows: list[dict[str, Any]] = []
    numbers, faults = [], []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, strict=True)
            names = tuple(name.strip() for name in next(lines, []))
            for cells in lines:
                if len(cells) == len(names):
                    rows.append(dict(zip(names, cells, strict=True)))
                    numbers.append(lines.line_num)
                elif cells:
                    faults.append(f"line {lines.line_num} has {len(cells)} cells, not {len(names)}")
    except OSError as error:
        raise PredictError(f"{path} cannot be read: {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise PredictError(f"{path} is no CSV in UTF-8: {error}") from error
    return Cells(names, rows, numbers, "line", faults)


def _parquet(path: Path) -> Cells:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise PredictError(
            f"{path}: Parquet needs pyarrow (pip install 'hwnas[parquet]'); .csv does not"
        ) from error
    try:
        table = pyarrow.parquet.read_table(path)
        _refuse_doubles(path, table.column_names)
        rows: list[dict[str, Any]] = table.to_pylist()
    except (OSError, ValueError, NotImplementedError) as error:  # pyarrow's are of these
        raise PredictError(f"{path} is no readable Parquet file: {error}") from error
    return Cells(tuple(table.column_names), rows, list(range(len(rows))), "row", [])


def _refuse_doubles(path: Path, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise PredictError(f"{path} has two columns '{name}'")
