"""IDX files, the format of MNIST and its family, gzip or not."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import DataError
from hwnas.tasks._image_task import AugmentName, ImageTask
from hwnas.tasks._split import Rows

_FILE = re.compile(r"(.+)-(images)[-.]idx3-ubyte(\.gz)?|(.+)-(labels)[-.]idx1-ubyte(\.gz)?")


class Idx(ImageTask):
    """Grey images from a folder with IDX files: MNIST, Fashion-MNIST, EMNIST, KMNIST ...

    The folder holds `*-images-idx3-ubyte` and `*-labels-idx1-ubyte`, each perhaps with `.gz`.
    The pair whose name begins with `t10k` or ends in `test` is the test split if there is another
    pair; a lone pair is split into all three. Labels count up from 0 or 1 without a gap.

    Source of the format: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
    """

    name = "idx"
    defaults = {"epochs": 5}

    def __init__(
        self,
        path: str,
        *,
        limit: int | None = None,
        valid: float | None = None,
        augment: AugmentName = "shift",
    ) -> None:
        super().__init__(limit=limit, valid=valid, augment=augment)
        self.path = path
        self._images, label_files = _pairs(Path(path))
        shapes = {part: _shape(file) for part, file in self._images.items()}
        self._height, self._width = shapes["train"][1:]
        labels = {part: _read(file, 1) for part, file in label_files.items()}
        for part, (count, height, width) in shapes.items():
            file = self._images[part]
            if (height, width) != (self._height, self._width):
                raise DataError(
                    f"{file} has images of {height} x {width}, {self._images['train'].name} of"
                    f" {self._height} x {self._width}"
                )
            if len(labels[part]) != count:
                raise DataError(
                    f"{file} has {count} images, but {label_files[part].name} has"
                    f" {len(labels[part])} labels"
                )
        present = _alphabet(labels["train"], label_files["train"])
        self._class_names = tuple(str(label) for label in present)
        for part, values in labels.items():
            outside = values[~np.isin(values, present)]
            if len(outside):
                raise DataError(
                    f"{label_files[part]}: label {outside[0]} is outside {present[0]} to"
                    f" {present[-1]}, the labels of the training images"
                )
        self._labels = {
            part: values.astype(np.int64) - present[0] for part, values in labels.items()
        }
        self.check()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return 1, self._height, self._width

    @property
    def class_names(self) -> tuple[str, ...]:
        return self._class_names

    def labels(self) -> Mapping[str, Rows]:
        return self._labels

    def pixels(self, part: str, rows: Rows) -> NDArray[np.uint8]:
        return _read(self._images[part], 3)[rows][:, None]


def _pairs(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """The image files and the label files of the parts `train` and, where there is one, `test`."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the folder that holds the IDX files")
    files: dict[str, dict[str, Path]] = {"images": {}, "labels": {}}
    for file in sorted(folder.iterdir()):
        match = _FILE.fullmatch(file.name)
        if match:
            groups = match.groups()
            stem, kind = (groups[0], groups[1]) if groups[0] else (groups[3], groups[4])
            files[kind].setdefault(stem, file)  # the plain file sorts before its .gz
    for kind, other in (("images", "labels"), ("labels", "images")):
        for stem, file in files[kind].items():
            if stem not in files[other]:
                raise DataError(f"{file} has no {other} file beside it ({stem}-{other}-idx...)")
    stems = sorted(files["images"], key=_is_test)
    if not stems:
        raise DataError(
            f"{folder} holds no IDX files; expected names such as train-images-idx3-ubyte.gz"
        )
    if len(stems) > 2 or (len(stems) == 2 and _is_test(stems[0]) == _is_test(stems[1])):
        raise DataError(
            f"{folder} holds {', '.join(stems)}; expected one pair of files, or one pair for"
            " training and one named t10k or test"
        )
    parts = dict(zip(("train", "test"), stems, strict=False))
    images = {part: files["images"][stem] for part, stem in parts.items()}
    return images, {part: files["labels"][stem] for part, stem in parts.items()}


def _is_test(stem: str) -> bool:
    return stem.startswith("t10k") or stem.endswith("test")


def _alphabet(labels: NDArray[np.uint8], file: Path) -> list[int]:
    """The labels in use, which must count up from 0 or 1: a gap means that one is wrong."""
    present: list[int] = np.unique(labels).tolist()
    if present not in (list(range(len(present))), list(range(1, len(present) + 1))):
        found = ", ".join(map(str, present[:20]))
        raise DataError(f"{file}: labels must count up from 0 or 1 without a gap, found {found}")
    if not present:
        raise DataError(f"{file} holds no labels")
    return present


def _shape(file: Path) -> tuple[int, int, int]:
    count, height, width = _dimensions(_bytes(file, 16), 3, file)
    return count, height, width


def _read(file: Path, rank: int) -> NDArray[np.uint8]:
    """The whole array of a file of unsigned bytes, of the given rank."""
    content = _bytes(file)
    shape = _dimensions(content, rank, file)
    head = 4 + 4 * rank
    expected, found = int(np.prod(shape, dtype=object)), len(content) - head
    if found != expected:
        state = "truncated" if found < expected else "longer than it says"
        raise DataError(f"{file} is {state}: {expected} bytes of data announced, {found} found")
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)


def _dimensions(content: bytes, rank: int, file: Path) -> tuple[int, ...]:
    magic = 0x0800 + rank  # 8: unsigned bytes
    if len(content) < 4 + 4 * rank:
        raise DataError(f"{file} is truncated: its header is incomplete")
    found, *dimensions = struct.unpack_from(f">{1 + rank}I", content)
    if found != magic:
        raise DataError(f"{file} has the magic number {found}; IDX{rank} of bytes has {magic}")
    return tuple(dimensions)


def _bytes(file: Path, count: int = -1) -> bytes:
    try:
        if file.suffix == ".gz":
            with gzip.open(file) as stream:
                return stream.read(count)
        with file.open("rb") as plain:
            return plain.read(count)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
