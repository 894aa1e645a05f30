"""Source tables as files: one safetensors file each, with the archs and the provenance in it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas._files import locked, replacing
from hwnas.errors import PredictError, UsageError
from hwnas.predict._sources import Provenance, SourceTable, arch_key
from hwnas.predict._space_name import name_of, space_of
from hwnas.space import Arch, SearchSpace

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
        "space": name_of(table.space),
        "input_shape": table.input_shape,
        "num_classes": table.num_classes,
        "devices": list(table.devices),
        "provenance": {name: asdict(one) for name, one in table.provenance.items()},
    }
    with replacing(path) as temporary:
        save_file(content, temporary, {"hwnas": json.dumps(facts, allow_nan=False)})


def load_sources(path: Path | str, space: str | SearchSpace | None = None) -> SourceTable:
    """The table that `save_sources` wrote. Nothing in it is executed or unpickled.

    Args:
        space: the space it is expected to be of, by its name or reference, or the space itself. It
            must be given where it is of your own: a file from elsewhere shall not say what is
            imported.

    Raises:
        PredictError: there is no such file, it is something else, of another space, or a newer
            version wrote it.
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
        table = _table(facts, content)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise PredictError(f"{path} is broken: {_first_line(error)}") from error
    return replace(table, space=space_of(str(table.space), space, f"the table in {path}"))


def add_sources(table: SourceTable, path: Path | str, *, again: bool = False) -> SourceTable:
    """Add the devices of `table` to those of a file, or begin the file.

    Several processes may add to one file at once: they take turns, and nothing is lost.

    Args:
        again: take the new latencies of a device that is in the file already.

    Returns:
        the table as it is in the file now.

    Raises:
        PredictError: the file is of another space, or has one of the devices.
        UsageError: as for `save_sources`.
    """
    path = _checked(path)
    with locked(path):
        if path.exists():
            table = _merged(path, load_sources(path, table.space), table, again=again)
        save_sources(table, path)
    return table


def _merged(path: Path, first: SourceTable, second: SourceTable, *, again: bool) -> SourceTable:
    """The devices of both tables, over the archs of either."""
    made_for = {}
    for name in ("input_shape", "num_classes"):
        have, new = getattr(first, name), getattr(second, name)
        if None not in (have, new) and have != new:
            raise PredictError(f"{path} has latencies of {name} {have}, not {new}")
        made_for[name] = new if have is None else have
    for name in second.devices:
        if name in first.latencies and not again:
            raise PredictError(f"{path} has a device '{name}' already; --replace takes its place")
    places: dict[str, int] = {}
    archs: list[Arch] = []
    latencies: dict[str, NDArray[np.float64]] = {}
    for table in (first, second):
        for arch in table.archs:
            if places.setdefault(arch_key(arch), len(places)) == len(archs):
                archs.append(arch)
    for table in (first, second):
        where = [places[arch_key(arch)] for arch in table.archs]
        for name, values in table.latencies.items():
            latencies[name] = np.full(len(archs), np.nan)
            latencies[name][where] = values
    provenance = {**first.provenance, **second.provenance}
    return SourceTable(first.space, tuple(archs), latencies, provenance, **made_for)


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
    shape, classes = facts["input_shape"], facts["num_classes"]
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
