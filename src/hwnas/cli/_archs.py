"""Archs in files: JSON, JSON lines and CSV, and the notations of published spaces."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hwnas._files import replacing
from hwnas.errors import ArchError, DataError, UsageError

if TYPE_CHECKING:
    from hwnas.space import Arch, SearchSpace

_SUFFIXES = (".csv", ".json", ".jsonl", ".yml", ".yaml")
_WHOLE = (".yml", ".yaml")
"""Files that hold one arch in the notation of its space."""


def read_archs(source: str, reference: str, space: SearchSpace) -> list[Arch]:
    """The archs that `source` names: JSON, a notation, a file of either, or `-` for standard input.

    A file may hold an arch, a list of archs, or one a line, as `hwnas sample` writes them; in CSV
    there is a column for each decision. An entry may also be an object with the arch as `arch`.

    Args:
        reference: the space's name, which tells the notation.

    Raises:
        DataError: there is no such file, or it holds no archs; the message names the place.
        ArchError: an arch is not one of the space; the message names the place.
    """
    path = Path(source)
    if source == "-":
        where, text = "standard input", _decoded("standard input", sys.stdin.buffer.read())
    elif _is_file(path):
        where, text = source, _decoded(source, path.read_bytes())
    elif path.suffix in _SUFFIXES:
        raise DataError(f"--arch {source}: there is no such file")
    else:
        where, text = "--arch", source
    if path.suffix == ".csv":
        entries = _rows(where, text, space)
    else:
        entries = _entries(where, text, whole=path.suffix in _WHOLE)
    archs = [_arch(place, entry, reference, space) for place, entry in entries]
    if not archs:
        raise DataError(f"{where} holds no arch")
    return archs


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # A text that is too long for a path.
        return False


def _decoded(where: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is no text in UTF-8: {error.reason}") from error


def _entries(where: str, text: str, *, whole: bool) -> Iterator[tuple[str, Any]]:
    """(place, entry): of one JSON value, or line by line; a text that is no JSON is a notation."""
    if whole:
        yield where, text
        return
    try:
        value = json.loads(text)
    except ValueError:
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                place = where if where == "--arch" else f"{where}, line {number}"
                yield place, _value(place, line.strip())
        return
    if isinstance(value, list) and value and not isinstance(value[0], int):
        for number, entry in enumerate(value, start=1):
            yield f"{where}, entry {number}", entry
    else:
        yield where, value


def _value(place: str, line: str) -> Any:
    if line[0] not in "{[":
        return line
    try:
        return json.loads(line)
    except ValueError as error:
        raise DataError(f"{place} is no JSON: {error}") from error


def _arch(place: str, entry: Any, reference: str, space: SearchSpace) -> Arch:
    from hwnas.zoo import read_notation

    if isinstance(entry, dict) and isinstance(entry.get("arch"), dict | list | str):
        entry = entry["arch"]
    try:
        found = read_notation(reference, entry)
        if found is not None:
            entry = found
        if not isinstance(entry, dict):
            raise ArchError(f"{_short(entry)} is no arch (such as {_example(space)})")
        space.validate(entry)
    except ArchError as error:
        raise ArchError(f"{place}: {error}") from error
    return entry


def _short(entry: Any) -> str:
    text = str(entry)
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _example(space: SearchSpace) -> str:
    text = json.dumps(space.default())
    return text if len(text) <= 80 else text[:77] + "..."


def _rows(where: str, text: str, space: SearchSpace) -> Iterator[tuple[str, Arch]]:
    """The archs of a CSV table: cells as texts of the choices, empty where not taken."""
    try:
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise DataError(f"{where} is no CSV: {error}") from error
    choices = {d.label: {str(value): value for value in d.choices} for d in space.decisions}
    if rows and not choices.keys() & rows[0].keys():
        raise DataError(f"{where}: no column is a decision of the space ({', '.join(choices)})")
    for number, row in enumerate(rows, start=2):
        arch: Arch = {}
        for label, known in choices.items():
            if cell := row.get(label):
                # What is no choice is left to be refused with its place.
                arch[label] = known.get(cell, cell)
        yield f"{where}, line {number}", arch


def checked_suffix(path: Path) -> Path:
    """The path of a file to write archs to, if its suffix says a known format.

    Raises:
        UsageError: it does not.
    """
    if path.suffix not in (".jsonl", ".csv"):
        raise UsageError(f"--out {path}: name a file that ends in .jsonl or .csv, or - for a pipe")
    return path


def write_archs(
    path: Path | None,
    space: SearchSpace,
    names: Sequence[str],
    archs: Iterable[tuple[Arch, Mapping[str, float]]],
) -> None:
    """Write archs with their costs, whole or not at all; None is standard output, as JSON lines."""
    if path is None:
        _write_jsonl(sys.stdout, archs)
        return
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            write_csv(file, space, names, archs)
        else:
            _write_jsonl(file, archs)


def _write_jsonl(file: IO[str], archs: Iterable[tuple[Arch, Mapping[str, float]]]) -> None:
    """`{"arch": {...}, "costs": {...}}`, one a line."""
    for arch, costs in archs:
        file.write(json.dumps({"arch": arch, "costs": costs}, allow_nan=False) + "\n")


def write_csv(
    file: IO[str],
    space: SearchSpace,
    names: Sequence[str],
    archs: Iterable[tuple[Arch, Mapping[str, float]]],
) -> None:
    """A column for each decision, empty where it is not taken, and `cost:NAME` for each cost."""
    labels = [decision.label for decision in space.decisions]
    table = csv.writer(file, lineterminator="\n")
    table.writerow([*labels, *(f"cost:{name}" for name in names)])
    for arch, costs in archs:
        cells = [str(arch[label]) if label in arch else "" for label in labels]
        table.writerow([*cells, *(costs[name] for name in names)])
