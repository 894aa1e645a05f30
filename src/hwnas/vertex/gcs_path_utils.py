"""Paths of a bucket and of the folder that it is mounted in: Vertex's module of the same name."""

from __future__ import annotations

from pathlib import Path

from hwnas.errors import StoreError

_URL, _FOLDER = "gs://", "/gcs/"


def gs_path(path: str) -> str:
    """`/gcs/bucket/...` as `gs://bucket/...`; any other path as it is."""
    return _URL + path.removeprefix(_FOLDER) if path.startswith(_FOLDER) else path


def gcs_fuse_path(path: str) -> str:
    """`gs://bucket/...` as `/gcs/bucket/...`, where the bucket is mounted; others as they are.

    Raises:
        StoreError: the bucket is not mounted there.
    """
    if not path.startswith(_URL):
        return path
    bucket, _, rest = path.removeprefix(_URL).partition("/")
    folder = Path(_FOLDER, bucket)
    if not folder.is_dir():
        raise StoreError(
            f"{path}: the bucket is not mounted as {folder}; mount it there (gcsfuse), "
            "or let the root of the jobs be a folder"
        )
    return f"{folder}/{rest}"
