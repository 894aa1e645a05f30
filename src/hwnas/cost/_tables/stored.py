"""Costs made of tables as files: `.npz` with a JSON header."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwnas._files import replacing
from hwnas.cost._tables.assembly import Tables
from hwnas.errors import CostError

if TYPE_CHECKING:
    from hwnas.cost._tables.tabular import Tabular
    from hwnas.space import SearchSpace

_FORMAT = 2


@dataclass(frozen=True)
class Stored:
    """What a file holds: sums of tables, and how they make a cost (`kind`)."""

    kind: str
    name: str
    exact: bool
    parts: Sequence[Tables]
    relative_std: float = 0.0


def write(path: Path, stored: Stored, space: SearchSpace) -> None:
    """The file is whole or absent."""
    header = {
        "format": _FORMAT,
        "kind": stored.kind,
        "name": stored.name,
        "fingerprint": space.fingerprint,
        "exact": stored.exact,
        "relative_std": stored.relative_std,
        "axes": [[list(axes) for axes in tables] for tables in stored.parts],
    }
    tables = [table for part in stored.parts for table in part.values()]
    arrays = {f"table{i}": table for i, table in enumerate(tables)}
    with replacing(Path(path)) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]


def read(path: Path, space: SearchSpace) -> Stored:
    """What `write` wrote.

    Raises:
        CostError: the file is something else, or its tables belong to another space.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            known = header["format"], header["fingerprint"]
            number = 0
            parts: list[Tables] = []
            for part in header["axes"] if known[0] == _FORMAT else []:
                parts.append({})
                for axes in part:
                    parts[-1][tuple(axes)] = file[f"table{number}"].astype(np.float64)
                    number += 1
            kind, name, exact = (str(header.get(key)) for key in ("kind", "name", "exact"))
            std = float(header.get("relative_std", 0.0))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise CostError(f"{path} is no cost table: {error}") from error
    if known[0] != _FORMAT:
        raise CostError(f"{path} has format {known[0]}; this version reads {_FORMAT}")
    if known[1] != space.fingerprint:
        raise CostError(f"{path} is the cost of another space: its fingerprint differs")
    return Stored(kind, name, exact == "True", parts, std)


def load_table(path: Path, space: SearchSpace) -> Tabular:
    """Read a `CostTable` or a `MaxTable`, whichever `save` wrote there.

    Raises:
        CostError: the file is something else, or its tables belong to another space.
    """
    from hwnas.cost._tables.max_table import MaxTable
    from hwnas.cost._tables.table import CostTable

    stored = read(path, space)
    if stored.kind == MaxTable.kind:
        return MaxTable(stored.name, space, stored.parts, exact=stored.exact)
    if stored.kind == CostTable.kind and len(stored.parts) == 1:
        exact, std = stored.exact, stored.relative_std
        return CostTable(stored.name, space, stored.parts[0], exact=exact, relative_std=std)
    raise CostError(f"{path} is no cost table: it holds a '{stored.kind}'")
