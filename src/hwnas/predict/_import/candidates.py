"""Files of archs with scores, to pick from under a limit."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import ArchError, PredictError, UsageError
from hwnas.predict._import.archs import ArchReader
from hwnas.predict._import.cells import read_cells
from hwnas.space import Arch, SearchSpace
from hwnas.zoo import load_space

_ARCH = "arch"
_SCORES = ("accuracy", "score")


@dataclass(frozen=True)
class ScoredArchs:
    """Archs with their scores (n,), float64, higher is better, as the file has them."""

    archs: tuple[Arch, ...]
    scores: NDArray[np.float64]


def read_scored(
    path: Path | str, space: str, search_space: SearchSpace | None = None
) -> ScoredArchs:
    """The candidates in a file, in its order.

    What is read:
        - `.txt`: `ARCH, SCORE` a line, with further numbers passed over, as HELP's file of
          MetaD2A's candidates has it; a first line of one number is passed over, too;
        - `.csv`, `.parquet` or `.jsonl` with `arch` and `accuracy` or `score`.

    An arch is JSON, or in the notation published with a space of the zoo.

    Args:
        space: name of a space of the zoo, or a reference `module:name`.
        search_space: the space, if it is at hand already.

    Raises:
        PredictError: the file cannot be read or holds no candidates, or a line is not as it should
            be; the message names it.
        UsageError: it is of a kind that is not known.
    """
    path = Path(path)
    reader = ArchReader(space, search_space or load_space(space))
    archs, scores = [], []
    for place, arch, score in _entries(path):
        try:
            archs.append(reader.read(arch))
            scores.append(float(score))
        except ArchError as error:
            raise PredictError(f"{path}, {place}: {error}") from error
        except (TypeError, ValueError) as error:
            raise PredictError(f"{path}, {place}: the score {score!r} is no number") from error
        if not math.isfinite(scores[-1]):
            raise PredictError(f"{path}, {place}: the score is {scores[-1]}")
    if not archs:
        raise PredictError(f"{path} holds no candidates")
    return ScoredArchs(tuple(archs), np.array(scores))


def _entries(path: Path) -> Iterator[tuple[str, Any, Any]]:
    """(place, arch, score) of each candidate."""
    if path.suffix in (".csv", ".parquet"):
        yield from _table(path)
        return
    if path.suffix not in (".txt", ".jsonl"):
        raise UsageError(f"{path}: give a .txt, .csv, .parquet or .jsonl file of candidates")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PredictError(f"{path} cannot be read: {error}") from error
    split = _of_json if path.suffix == ".jsonl" else _of_text
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or (number == 1 and path.suffix == ".txt" and _is_number(line)):
            continue
        try:
            arch, score = split(line)
        except ValueError as error:
            raise PredictError(f"{path}, line {number}: {error}") from error
        yield f"line {number}", arch, score


def _table(path: Path) -> Iterator[tuple[str, Any, Any]]:
    cells = read_cells(path)
    names = [name for name in _SCORES if name in cells.names]
    if _ARCH not in cells.names or not names:
        raise PredictError(
            f"{path} needs the columns '{_ARCH}' and '{_SCORES[0]}' (or '{_SCORES[1]}'); it has "
            f"{', '.join(cells.names)}"
        )
    if cells.faults:
        raise PredictError(f"{path}, {cells.faults[0]}")
    for number, row in zip(cells.numbers, cells.rows, strict=True):
        yield f"{cells.row} {number}", row[_ARCH], row[names[0]]


def _of_json(line: str) -> tuple[Any, Any]:
    entry = json.loads(line)
    names = [name for name in _SCORES if name in entry] if isinstance(entry, dict) else []
    if not names or _ARCH not in entry:
        raise ValueError(f"it has no '{_ARCH}' with '{_SCORES[0]}' (or '{_SCORES[1]}')")
    return entry[_ARCH], entry[names[0]]


def _of_text(line: str) -> tuple[str, str]:
    """The numbers at the end are the score and what is passed over."""
    parts = line.split(",")
    last = len(parts)
    while last > 1 and _is_number(parts[last - 1]):
        last -= 1
    if last == len(parts):
        raise ValueError("it is not 'ARCH, SCORE'")
    return ",".join(parts[:last]).strip(), parts[last]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
