"""Source tables as files: one safetensors file each, with the archs and the provenance in it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas._files import locked, replacing
from hwnas.errors import PredictError, UsageError
from hwnas.predict._import.archs import key
from hwnas.predict._sources import Provenance, SourceTable
from hwnas.space import Arch

SUFFIX = ".safetensors"
_FORMAT, _VERSION = "hwnas sources", 1
_ARCHS, _LATENCY = "archs", "latency:"


def save_sources(table: SourceTable, path: Path | str) -> None:
    """Write a table as one file, which is whole or absent.

    The file holds a float64 tensor (n,) for each device (`latency:NAME`, NaN where it did not
    measure), and as bytes the JSON of the archs; its metadata, under `hwnas`, are the space, the
    input and the provenance.

    Raises:
        UsageError: the name does not end in `.safetensors`.
        PredictError: the space has neither a name nor a reference.
    """
    from safetensors.numpy import save_file

    path = _checked(path)
    if not isinstance(table.space, str):
        raise PredictError(f"{path}: a file needs the space's name or reference module:name")
    labels = list(dict.fromkeys(label for arch in table.archs for label in arch))
    rows = [[arch.get(label) for label in labels] for arch in table.archs]
    archs = json.dumps({"labels": labels, "rows": rows}, allow_nan=False, separators=(",", ":"))
    content: dict[str, NDArray[Any]] = {
        f"{_LATENCY}{name}": np.ascontiguousarray(values, np.float64)
        for name, values in table.latencies.items()
    }
    content[_ARCHS] = np.frombuffer(archs.encode(), np.uint8)
    facts = {
        "format": _FORMAT,
        "version": _VERSION,
        "space": table.space,
        "input_shape": table.input_shape,
        "num_classes": table.num_classes,
        "devices": list(table.devices),
        "provenance": {name: asdict(one) for name, one in table.provenance.items()},
    }
    with replacing(path) as temporary:
        save_file(content, temporary, {"hwnas": json.dumps(facts, allow_nan=False)})


def load_sources(path: Path | str) -> SourceTable:
    """The table that `save_sources` wrote.

    Raises:
        PredictError: there is no such file, it is something else, or a newer version wrote it.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        with safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {}).get("hwnas", "{}"))
            content = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise PredictError(f"there is no file {path}") from error
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise PredictError(f"{path} cannot be read: {_first_line(error)}") from error
    if not isinstance(facts, dict) or facts.get("format") != _FORMAT:
        raise PredictError(f"{path} is no table of sources (hwnas predict import writes them)")
    if facts.get("version") != _VERSION:
        raise PredictError(
            f"{path} has version {facts.get('version')!r}; this hwnas reads {_VERSION}: update it"
        )
    try:
        return _table(facts, content)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise PredictError(f"{path} is broken: {_first_line(error)}") from error


def add_sources(table: SourceTable, path: Path | str, *, replace: bool = False) -> SourceTable:
    """Add the devices of `table` to those of a file, or begin the file.

    Several processes may add to one file at once: they take turns, and nothing is lost.

    Args:
        replace: take the new latencies of a device that is in the file already.

    Returns:
        the table as it is in the file now.

    Raises:
        PredictError: the file is of another space, or has one of the devices.
        UsageError: as for `save_sources`.
    """
    path = _checked(path)
    with locked(path):
        if path.exists():
            table = merged(load_sources(path), table, replace=replace)
        save_sources(table, path)
    return table


def merged(first: SourceTable, second: SourceTable, *, replace: bool = False) -> SourceTable:
    """The devices of both tables, over the archs of either.

    Raises:
        PredictError: the spaces or the shapes of their inputs differ, or both have a device and it
            is not to be replaced.
    """
    if first.space != second.space:
        raise PredictError(f"latencies of '{second.space}' do not go with those of '{first.space}'")
    shapes = {table.input_shape for table in (first, second) if table.input_shape is not None}
    if len(shapes) > 1:
        told = " do not go with those at ".join(",".join(map(str, shape)) for shape in shapes)
        raise PredictError(f"latencies at inputs of {told}")
    if not replace:
        for name in second.devices:
            if name in first.latencies:
                raise PredictError(f"there is a device '{name}' already; replace it explicitly")
    places: dict[str, int] = {}
    archs: list[Arch] = []
    latencies: dict[str, NDArray[np.float64]] = {}
    for table in (first, second):
        for arch in table.archs:
            if places.setdefault(key(arch), len(places)) == len(archs):
                archs.append(arch)
    for table in (first, second):
        where = [places[key(arch)] for arch in table.archs]
        for name, values in table.latencies.items():
            latencies[name] = np.full(len(archs), np.nan)
            latencies[name][where] = values
    provenance = {**first.provenance, **second.provenance}
    return SourceTable(
        first.space,
        tuple(archs),
        latencies,
        provenance,
        next(iter(shapes), None),
        first.num_classes or second.num_classes,
    )


def _table(facts: dict[str, Any], content: dict[str, NDArray[Any]]) -> SourceTable:
    written = json.loads(content[_ARCHS].tobytes())
    labels = [str(label) for label in written["labels"]]
    archs = []
    for row in written["rows"]:
        arch = {k: v for k, v in zip(labels, row, strict=True) if v is not None}
        if not all(isinstance(value, bool | int | float | str) for value in arch.values()):
            raise ValueError("a value of an arch is no plain value")
        archs.append(arch)
    latencies = {
        str(name): content[f"{_LATENCY}{name}"].astype(np.float64) for name in facts["devices"]
    }
    provenance = {
        str(name): Provenance(
            str(one["source"]), one["licence"], tuple(map(str, one["notes"])), one["resolution"]
        )
        for name, one in facts["provenance"].items()
    }
    shape, classes = facts.get("input_shape"), facts.get("num_classes")
    return SourceTable(
        str(facts["space"]),
        tuple(archs),
        latencies,
        provenance,
        None if shape is None else tuple(int(size) for size in shape),
        None if classes is None else int(classes),
    )


def _checked(path: Path | str) -> Path:
    path = Path(path)
    if path.suffix != SUFFIX:
        raise UsageError(f"{path}: a table of sources is a file that ends in {SUFFIX}")
    return path


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no message"])[0]
