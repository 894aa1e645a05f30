"""The files of a folder or of a zip, by relative name, read one by one into memory."""

from __future__ import annotations

import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from hwnas.errors import DataError

_MOST_BYTES = 256 * 2**20  # of one image file; a zip may announce any size


class Archive(ABC):
    """Files under one root.

    `names()` gives relative POSIX names, folders with a slash at their end, in no stated order;
    `read(names)` yields each file's bytes in turn. `DataError` names what cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def names(self) -> Iterable[str]:
        """Relative names of all files and folders."""

    @abstractmethod
    def read(self, names: Iterable[str]) -> Iterator[bytes]:
        """The content of each file."""

    def show(self, name: str) -> str:
        """The full name of a file, for messages."""
        return str(self.path / name)


def open_archive(path: Path) -> Archive:
    """The archive at `path`: a folder, or a zip."""
    if path.is_dir():
        return _Folder(path)
    if path.is_file():
        return _Zip(path)
    raise DataError(f"{path} does not exist; give a folder or a zip of images")


class _Folder(Archive):
    def names(self) -> Iterator[str]:
        seen = set()
        for folder, folders, files in os.walk(self.path, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:  # a link to a folder above: the walk would never end
                folders.clear()
                continue
            seen.add(real)
            place = Path(folder).relative_to(self.path)
            yield from ((place / name).as_posix() + "/" for name in folders)
            yield from ((place / name).as_posix() for name in files)

    def read(self, names: Iterable[str]) -> Iterator[bytes]:
        for name in names:
            try:
                content = (self.path / name).read_bytes()
            except OSError as error:
                raise DataError(f"{self.show(name)} cannot be read: {error.strerror}") from error
            yield content


class _Zip(Archive):
    def names(self) -> list[str]:
        with self._opened() as file:
            names = file.namelist()
        for name in names:
            path = PurePosixPath(name.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or ":" in name.split("/")[0]:
                raise DataError(f"{self.path}: member '{name}' points out of the archive")
        return names

    def read(self, names: Iterable[str]) -> Iterator[bytes]:
        with self._opened() as file:
            for name in names:
                if file.getinfo(name).file_size > _MOST_BYTES:
                    raise DataError(f"{self.show(name)} unpacks to more than 256 MiB")
                try:
                    content = file.read(name)
                # RuntimeError: encrypted; NotImplementedError: a compression unknown here.
                except (
                    OSError,
                    EOFError,
                    RuntimeError,
                    zipfile.BadZipFile,
                    zlib.error,
                ) as error:
                    raise DataError(f"{self.show(name)} cannot be read: {error}") from error
                yield content

    def _opened(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.path} is no readable zip: {error}") from error
