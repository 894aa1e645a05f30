"""Files in a folder or a bucket: Vertex's three modules `gcs_utils_using_...`, which are one here.

Paths may be files of this machine or URLs of any store: `gs://`, `s3://`, `az://`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from hwnas.errors import StoreError
from hwnas.vertex import _storage
from hwnas.vertex.gcs_path_utils import gs_path


def is_cloud_path(path: str) -> bool:
    """Whether a path is a URL."""
    return _storage.is_url(path)


def exists(filepath: str) -> bool:
    """Whether a file is there; with a path of this machine, a file or folder."""
    return (
        _storage.read(filepath) is not None if is_cloud_path(filepath) else Path(filepath).exists()
    )


def makedirs(dir_path: str) -> None:
    """Make a folder, if it is not there. Stores have none, and need none."""
    if not is_cloud_path(dir_path) and dir_path:
        Path(dir_path).mkdir(parents=True, exist_ok=True)


@contextmanager
def file_open(filepath: str, mode: str = "r") -> Iterator[IO[Any]]:
    """A file to read (`r`, `rb`) or to write (`w`, `wb`); what is written appears at the end."""
    if mode in ("r", "rb"):
        data = _storage.read(filepath)
        if data is None:
            raise FileNotFoundError(filepath)
        yield io.BytesIO(data) if mode == "rb" else io.StringIO(data.decode())
    elif mode in ("w", "wb"):
        content: IO[Any] = io.BytesIO() if mode == "wb" else io.StringIO()
        yield content
        written = content.getvalue()  # type: ignore[attr-defined]
        _storage.write(filepath, written if mode == "wb" else written.encode())
    else:
        raise ValueError(f"mode '{mode}' is none of r, rb, w, wb")


def load_json(filepath: str) -> Any:
    """The content of a file of JSON; None if there is no file.

    Raises:
        StoreError: the file holds something else.
    """
    return _storage.read_json(filepath)


def save_json(filepath: str, json_data: Any) -> None:
    """Write JSON; readers see the whole file or none."""
    _storage.write_json(filepath, json_data)


def copy(src_filepath: str, dst_filepath: str) -> None:
    """Copy a file.

    Raises:
        StoreError: there is none, or it cannot be written.
    """
    data = _storage.read(src_filepath)
    if data is None:
        raise StoreError(f"cannot copy {os.fspath(src_filepath)}: there is no such file")
    _storage.write(dst_filepath, data)


__all__ = [
    "copy",
    "exists",
    "file_open",
    "gs_path",
    "is_cloud_path",
    "load_json",
    "makedirs",
    "save_json",
]
