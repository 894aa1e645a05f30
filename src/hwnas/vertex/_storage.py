"""Files of trainers and calculators, in a folder or under a URL, whole or absent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import _files
from hwnas.errors import StoreError

if TYPE_CHECKING:
    from hwnas.jobs import Store


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a store's URL (`gs://bucket/...`) rather than a file of this machine."""
    return "://" in os.fspath(path)


def parent_store(url: str) -> tuple[Store, str]:
    """The store that an object's URL lies in, and its name there."""
    from hwnas.jobs import Store

    parent, _, name = url.rstrip("/").rpartition("/")
    return Store(parent), name


def read(path: str | os.PathLike[str]) -> bytes | None:
    """The content of a file; None if there is none.

    Raises:
        StoreError: it cannot be read.
    """
    where = os.fspath(path)
    if is_url(where):
        store, name = parent_store(where)
        return store.get(name)
    try:
        return Path(where).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"cannot read {where}: {error.strerror}") from error


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that no reader sees a part of it; missing folders are made.

    Raises:
        StoreError: it cannot be written.
    """
    where = os.fspath(path)
    if is_url(where):
        store, name = parent_store(where)
        store.put(name, data)
        return
    try:
        _files.write_bytes(Path(where), data)
    except OSError as error:
        raise StoreError(f"cannot write {where}: {error.strerror}") from error


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON; see `write`. NaN and infinity are a ValueError."""
    write(path, json.dumps(value, indent=2, allow_nan=False).encode())


def read_json(path: str | os.PathLike[str]) -> Any:
    """The content of a file of JSON; None if there is no file.

    Raises:
        StoreError: it cannot be read, or holds something else.
    """
    data = read(path)
    if data is None:
        return None
    try:
        return json.loads(data)
    except ValueError as error:
        raise StoreError(f"{os.fspath(path)} is no JSON: {error}") from error


def remove(path: str | os.PathLike[str]) -> None:
    """Remove a file, if it is there."""
    where = os.fspath(path)
    if is_url(where):
        store, name = parent_store(where)
        store.delete(name)
    else:
        Path(where).unlink(missing_ok=True)
