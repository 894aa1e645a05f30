"""Folders in the layout of HELP's published data (Lee et al., NeurIPS 2021)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hwnas.errors import ArchError, PredictError
from hwnas.predict._import.archs import read_ofa_row
from hwnas.predict._import.plain import read_plain
from hwnas.predict._import.raw import Column, RawTable, licence_near
from hwnas.space import Arch
from hwnas.zoo import read_fbnet, read_nasbench201

_NAMES = {"nasbench201": "nasbench201", "fbnet": "fbnet", "ofa_mobilenetv3": "ofa"}
"""HELP's names of the zoo's spaces."""

_INPUTS = {"nasbench201": (3, 32, 32), "fbnet": (3, 32, 32)}
"""Both were measured as classifiers of CIFAR; Once-for-All's archs have a size each."""


def find_help_folder(path: Path, space: str) -> Path | None:
    """The folder of a space: `path` itself, or its part in HELP's `data` or in the repository."""
    name = _NAMES.get(space)
    places = [path] if name is None else [path, path / name, path / "data" / name]
    return next((place for place in places if (place / "latency").is_dir()), None)


def read_help_folder(folder: Path, space: str, devices: Sequence[str]) -> RawTable:
    """The archs of a space and a column for each of the devices, or for each there is.

    Raises:
        PredictError: the archs cannot be read, or a device is not there.
    """
    if space not in _NAMES:
        raise PredictError(
            f"{folder}: folders in HELP's layout are of {', '.join(_NAMES)}, not of another space"
        )
    licence = licence_near(folder) or licence_near(folder.absolute().parent)
    raw = RawTable(_archs(folder, space), licence=licence, input_shape=_INPUTS.get(space))
    rows = list(range(len(raw.archs)))
    files = {file.stem: file for file in sorted((folder / "latency").glob("*.pt"))}
    for name in devices:
        if name not in files:
            known = ", ".join(files) or "none"
            raise PredictError(f"{folder} has no device '{name}'; it has {known}")
    for name in devices or files:
        try:
            raw.columns[name] = Column(
                _latencies(files[name], len(rows)), rows, rows, str(files[name])
            )
        except PredictError as error:
            raw.refused[name] = str(error)
    return raw


def _latencies(path: Path, count: int) -> list[object]:
    values = read_plain(path)
    if hasattr(values, "tolist"):  # A tensor.
        values = values.tolist()
    if not isinstance(values, list):
        raise PredictError(f"{path} holds no list of latencies")
    if len(values) != count:
        raise PredictError(f"{path} holds {len(values)} latencies for {count} archs")
    return values


def _archs(folder: Path, space: str) -> list[Arch]:
    if space == "nasbench201":
        return _by_string(folder / "str_arch2idx.pt")
    if space == "fbnet":
        file = folder / "arch.pt"
        if file.exists():
            return _each(file, read_plain(file), read_fbnet)
        file = folder / "metainfo.pt"
        return _each(file, _entry(file), lambda one: read_fbnet(one["op_idx_list"]))
    file = folder / "ofa_archs.pt"
    return _each(file, _entry(file), read_ofa_row)


def _entry(file: Path) -> Any:
    content = read_plain(file)
    if not isinstance(content, dict):
        raise PredictError(f"{file} holds no dictionary with the archs as 'arch'")
    return content.get("arch")


def _each(file: Path, entries: Any, read: Callable[[Any], Arch]) -> list[Arch]:
    if not isinstance(entries, list) or not entries:
        raise PredictError(f"{file} holds no list of archs")
    archs = []
    for row, entry in enumerate(entries):
        try:
            archs.append(read(entry))
        except ArchError as error:
            raise PredictError(f"{file}, row {row}: {error}") from error
        except (TypeError, LookupError, ValueError, AttributeError) as error:
            raise PredictError(f"{file}, row {row}: {str(entry)[:40]!r} is no arch") from error
    return archs


def _by_string(file: Path) -> list[Arch]:
    """NAS-Bench-201: strings with the places of their latencies."""
    content = read_plain(file)
    if not isinstance(content, dict) or not content:
        raise PredictError(f"{file} holds no dictionary from architecture strings to rows")
    places = list(content.values())
    if any(type(one) is not int for one in places) or sorted(places) != list(range(len(places))):
        raise PredictError(f"{file}: the rows are not 0 to {len(places) - 1}, each once")
    strings = sorted(content, key=content.__getitem__)
    return _each(file, strings, read_nasbench201)
