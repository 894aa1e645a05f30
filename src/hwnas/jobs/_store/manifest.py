"""Files that were published: names, sizes and SHA-256, in a list that is written last."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hwnas._files import replacing, write_text
from hwnas._invalid import first_problem
from hwnas.errors import StoreError
from hwnas.jobs._store.store import Store

MANIFEST = "manifest.json"

_SAFE = re.compile(r"[A-Za-z0-9._@=+/-]+")
_CREATED_AT_ONCE = 64 << 20  # bytes; a conditional create cannot be done in parts


def digest(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    found = hashlib.sha256()
    with open(file, "rb") as content:
        while chunk := content.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


def inside(path: str) -> str:
    """A relative path that stays where it is put.

    Raises:
        ValueError: it may lead elsewhere.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(c in path for c in "\\\0\n\r"):
        raise ValueError(f"{path!r} is not a path inside the folder")
    return path


class Entry(BaseModel):
    """A file: its path in the folder, what it must hold, and the object that holds it.

    `object` is the object's name where it is not the path.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    object: str | None = None

    _inside = field_validator("path")(inside)

    @property
    def source(self) -> str:
        """The name of the object."""
        return self.object or self.path

    def matches(self, file: Path) -> bool:
        """Whether `file` is there and holds what it must."""
        try:
            return file.stat().st_size == self.size and digest(file) == self.sha256
        except FileNotFoundError:
            return False


class Manifest(BaseModel):
    """`manifest.json`: all files of a folder at the moment when they were published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    created: str = Field(
        default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds")
    )
    files: tuple[Entry, ...]

    def entry(self, path: str) -> Entry | None:
        """The file at `path`, if it is one of them."""
        return next((one for one in self.files if one.path == path), None)

    @classmethod
    def parse(cls, data: bytes, where: str) -> Manifest:
        """What a manifest says.

        Raises:
            StoreError: it is damaged, of a newer version, or names files outside the folder.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise StoreError(f"{where} is damaged: {first_problem(error)}") from error

    @classmethod
    def of(cls, folder: Path) -> Manifest:
        """The files that lie in a folder now.

        Hidden ones are somebody's temporary files, links that lead out are not ours to give away.
        """
        home = folder.resolve()
        found = []
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            hidden = any(part.startswith(".") for part in name.parts)
            if hidden or str(name) == MANIFEST or not path.is_file():
                continue
            if path.resolve().is_relative_to(home):
                found.append(_entry(path, name.as_posix()))
        return cls(files=tuple(found))


def _entry(file: Path, path: str) -> Entry:
    try:
        return Entry(path=path, size=file.stat().st_size, sha256=digest(file))
    except ValidationError as error:
        raise StoreError(f"{str(file)!r} cannot be published: rename it") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of files that lie in `folder` already."""
    write_text(folder / MANIFEST, manifest.model_dump_json(indent=1, exclude_none=True) + "\n")


def upload(store: Store, folder: Path, manifest: Manifest) -> Manifest:
    """Publish files in a store; the manifest that counts, which is another's if that came first.

    Nothing that is there is overwritten: where an object of the name holds something else, the
    file goes into one whose name has its SHA-256. So a manifest, once it is there, stays true,
    whoever else publishes.
    """
    stored = tuple(_stored(store, folder / one.path, one) for one in manifest.files)
    told = manifest.model_copy(update={"files": stored})
    data = told.model_dump_json(indent=1, exclude_none=True).encode()
    if store.create(MANIFEST, data):
        return told
    found = store.get(MANIFEST)
    return told if found is None else Manifest.parse(found, f"{store.url}/{MANIFEST}")


def _stored(store: Store, file: Path, entry: Entry) -> Entry:
    if entry.size <= _CREATED_AT_ONCE and _SAFE.fullmatch(entry.path):
        content = file.read_bytes()
        if store.create(entry.path, content) or store.get(entry.path) == content:
            return entry
    suffix = PurePosixPath(entry.path).suffix
    kind = suffix if _SAFE.fullmatch(suffix) else ""
    name = f"files/{entry.sha256}{kind}"
    store.put(name, file)
    return entry.model_copy(update={"object": name})


def download(store: Store, folder: Path, entry: Entry) -> Path:
    """A published file, in `folder` under its path; what is there already is not fetched again.

    Raises:
        StoreError: it is gone, or holds something else than was published.
    """
    target = folder / entry.path
    if entry.matches(target):
        return target
    with replacing(target) as temporary:
        store.download(entry.source, temporary)
        if not entry.matches(temporary):
            raise StoreError(
                f"{store.url}/{entry.source} is damaged: it is not what {MANIFEST} says"
            )
    return target
