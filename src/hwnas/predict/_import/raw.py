"""What a reader makes of a file, before anything is checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hwnas.space import Arch


@dataclass
class Column:
    """The values of one device as they stand in the file.

    Attributes:
        values: numbers, texts, or None where there is none; in ms.
        rows: for each value the number of its row, as a message should name it.
        archs: for each value the place of its arch in `RawTable.archs`.
        source: the file.
    """

    values: list[object]
    rows: list[int]
    archs: list[int]
    source: str


@dataclass
class RawTable:
    """A file or folder as it was read.

    Attributes:
        archs: of the space; an arch may stand in several places.
        columns: by device.
        refused: devices that could not be read, and why.
        notes: what was passed over.
        faults: rows without an arch of the space, each with its place.
        row: what a row is called in messages: `row` or `line`.
        licence: of the data, if a file beside it says so.
        input_shape: (C, H, W) that the networks had, if the file is known to be about that one.
    """

    archs: list[Arch]
    columns: dict[str, Column] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    row: str = "row"
    licence: str | None = None
    input_shape: tuple[int, ...] | None = None


def licence_near(path: Path) -> str | None:
    """The first line of a `LICENSE` file in the folder `path` or in the one above."""
    for folder in (path, path.absolute().parent):
        file = folder / "LICENSE"
        if file.is_file():
            with open(file, encoding="utf-8", errors="replace") as lines:
                first = next((line.strip() for line in lines if line.strip()), "")
            return first[:100] or None
    return None
