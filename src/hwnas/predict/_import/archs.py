"""Archs as they stand in a table's cell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hwnas.errors import ArchError
from hwnas.predict._sources import RESOLUTION
from hwnas.space import Arch, SearchSpace
from hwnas.zoo import read_notation, read_ofa


class ArchReader:
    """Reads cells as archs of one space: JSON, or the notation published with a space of the zoo.

    Args:
        name: the space's name or reference, which tells the notation.
        space: checks archs that come as plain JSON.
    """

    def __init__(self, name: str, space: SearchSpace) -> None:
        self._name, self.space = name, space

    def read(self, cell: object) -> Arch:
        """The canonical arch; with `resolution`, if the cell has one.

        Raises:
            ArchError: it is no arch of the space.
        """
        value = _parsed(cell) if isinstance(cell, str) else cell
        if isinstance(value, dict):
            value = {k: v for k, v in value.items() if v is not None}  # structs of Parquet
            value, size = _without_size(value)
        else:
            size = {}
        arch = read_notation(self._name, value)
        if arch is None:
            if not isinstance(value, dict):
                raise ArchError(f"{str(cell)[:40]!r} is no arch")
            arch = self.space.canonical(value)
        else:
            self.space.validate(arch)
        return arch | size


def read_ofa_row(config: Any) -> Arch:
    """The arch of an Once-for-All dictionary, with its resolution `r`.

    Raises:
        ArchError: it is none.
    """
    if not isinstance(config, Mapping):
        raise ArchError(f"{str(config)[:40]!r} is no Once-for-All dictionary")
    _, size = _without_size({"r": config.get("r")})
    return read_ofa(config) | size


def _parsed(cell: str) -> Any:
    """JSON where it is some; else the text, which may be a notation."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def _without_size(config: dict[str, Any]) -> tuple[dict[str, Any], Arch]:
    """The input size of a row, which is no decision of a space: ours, or Once-for-All's `r`."""
    if "r" not in config and RESOLUTION not in config:
        return config, {}
    name = "r" if "r" in config else RESOLUTION
    rest = {k: v for k, v in config.items() if k != name}
    size = config[name]
    if isinstance(size, list) and len(size) == 1:
        size = size[0]
    if type(size) is not int or not 0 < size < 100_000:
        raise ArchError(f"'{name}' must be a whole number of pixels, not {str(size)[:40]!r}")
    return rest, {RESOLUTION: size}
