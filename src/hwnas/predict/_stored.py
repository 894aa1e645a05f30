"""Predictors on disk: a folder of `predictor.json` and `weights.safetensors`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from hwnas import _files
from hwnas.errors import PredictError
from hwnas.predict._space_name import name_of
from hwnas.space import SearchSpace

_SCHEMA = 1
_HEADER = "predictor.json"
_WEIGHTS = "weights.safetensors"

_T = TypeVar("_T", str, int, float, bool, list[Any], dict[str, Any])


@dataclass(frozen=True)
class PredictorState:
    """Everything that a predictor is made of again.

    Attributes:
        space, input_shape, num_classes: as of the predictor.
        settings: plain values for JSON: options and what else is no array.
        arrays: numbers by name; of any shape, dense.
    """

    space: str | SearchSpace
    input_shape: tuple[int, ...] | None = None
    num_classes: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def setting(self, name: str, kind: type[_T]) -> _T:
        """A setting of that type.

        Raises:
            PredictError: there is none, or it has another type.
        """
        value = self.settings.get(name)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise PredictError(
                f"the stored predictor is damaged: its setting '{name}' is no {kind.__name__}"
            )
        return value

    def array(self, name: str, *shape: int | None) -> NDArray[np.float64]:
        """An array of that shape as 64-bit floats; None stands for any length.

        Raises:
            PredictError: there is none, it has another shape, or a number is not finite.
        """
        value = self.arrays.get(name)
        if (
            value is None
            or value.ndim != len(shape)
            or any(want not in (None, have) for want, have in zip(shape, value.shape, strict=True))
        ):
            raise PredictError(
                f"the stored predictor is damaged: '{name}' is missing or of a wrong shape"
            )
        numbers = value.astype(np.float64)
        if not np.isfinite(numbers).all():
            raise PredictError(f"the stored predictor is damaged: '{name}' is not finite")
        return numbers

    def part(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays whose names begin with `prefix` and a point, without these."""
        start = f"{prefix}."
        return {
            name.removeprefix(start): value
            for name, value in self.arrays.items()
            if name.startswith(start)
        }


def write(folder: Path, kind: str, state: PredictorState) -> None:
    """Write a predictor of the entry point `kind` as a folder that is there whole or not at all.

    A predictor that is there already is replaced.

    Raises:
        PredictError: the folder holds something else.
    """
    folder = Path(folder)
    if folder.exists() and not (_is_predictor(folder) or _is_empty(folder)):
        raise PredictError(f"{folder} holds something else than a predictor; name a new folder")
    weights = safetensors.save({name: _dense(array) for name, array in state.arrays.items()})
    header = {
        "schema": _SCHEMA,
        "kind": kind,
        "space": name_of(state.space),
        "input_shape": None if state.input_shape is None else list(state.input_shape),
        "num_classes": state.num_classes,
        "settings": dict(state.settings),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        _files.write_bytes(made / _WEIGHTS, weights)
        _files.write_json(made / _HEADER, header)
        made.chmod(0o755)
        if folder.exists():  # A folder with content cannot be renamed over: first make place.
            old = made.with_suffix(".old")
            os.rename(folder, old)
            os.rename(made, folder)
            shutil.rmtree(old)
        else:
            os.rename(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def read(folder: Path) -> tuple[str, PredictorState]:
    """The kind of a stored predictor and its state.

    Raises:
        PredictError: the folder holds none, was written by a newer version, or is damaged.
    """
    path = Path(folder) / _HEADER
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        weights = (Path(folder) / _WEIGHTS).read_bytes()
    except FileNotFoundError as error:
        raise PredictError(
            f"{folder} is no stored predictor: {error.filename} is missing"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise PredictError(f"{path} cannot be read: {_line(error)}") from error
    schema = header.get("schema") if isinstance(header, dict) else None
    if type(schema) is int and schema > _SCHEMA:
        raise PredictError(
            f"{path} has format {schema}, and this version reads {_SCHEMA}: update hwnas"
        )
    if schema != _SCHEMA or not _whole(header):
        raise PredictError(f"{path} is damaged: it is no header of a predictor")
    if hashlib.sha256(weights).hexdigest() != header["weights_sha256"]:
        raise PredictError(f"{folder} is damaged: {_WEIGHTS} is not the file that was written")
    try:
        arrays = safetensors.load(weights)
    except (SafetensorError, ValueError, KeyError) as error:
        raise PredictError(f"{folder} is damaged: {_WEIGHTS}: {_line(error)}") from error
    shape = header["input_shape"]
    return header["kind"], PredictorState(
        header["space"],
        None if shape is None else tuple(shape),
        header["num_classes"],
        header["settings"],
        arrays,
    )


def _whole(header: dict[str, Any]) -> bool:
    """Whether every field is there, of its type."""
    fields = {"kind": str, "space": str, "settings": dict, "weights_sha256": str}
    shape, classes = header.get("input_shape", ""), header.get("num_classes", "")
    return (
        all(type(header.get(name)) is of for name, of in fields.items())
        and (classes is None or type(classes) is int)
        and (shape is None or (type(shape) is list and all(type(n) is int for n in shape)))
    )


def _is_predictor(folder: Path) -> bool:
    return (folder / _HEADER).is_file()


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _dense(array: NDArray[Any]) -> NDArray[Any]:
    """safetensors writes the memory as it lies."""
    return np.ascontiguousarray(array)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
