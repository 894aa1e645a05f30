"""The binary version of CIFAR-10: records of one label byte and 3 x 32 x 32 pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import DataError
from hwnas.tasks._image_task import AugmentName, ImageTask
from hwnas.tasks._split import Rows

_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_RECORD = 1 + 3 * 32 * 32


class Cifar10(ImageTask):
    """Colour images, 3 x 32 x 32, ten classes, from `data_batch_*.bin` and `test_batch.bin`.

    `path` is the folder with the files (`cifar-10-batches-bin`) or one `.bin` file. Without
    `test_batch.bin` the test split is drawn from the training images. The pickled "python version"
    is not read: unpickling a file runs whatever code is in it.

    Source: Krizhevsky, "Learning multiple layers of features from tiny images" (2009).
    """

    name = "cifar10"
    defaults = {"epochs": 20, "batch_size": 128}

    def __init__(
        self,
        path: str,
        *,
        limit: int | None = None,
        valid: float | None = None,
        augment: AugmentName = "shift+flip",
    ) -> None:
        super().__init__(limit=limit, valid=valid, augment=augment)
        self.path = path
        self._files = _parts(Path(path))
        self._labels = {
            part: np.concatenate([_labels(file) for file in files])
            for part, files in self._files.items()
        }
        self.check()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return 3, 32, 32

    @property
    def class_names(self) -> tuple[str, ...]:
        return _CLASSES

    def labels(self) -> Mapping[str, Rows]:
        return self._labels

    def pixels(self, part: str, rows: Rows) -> NDArray[np.uint8]:
        taken, start = [], 0
        for file in self._files[part]:
            records = _records(file)
            mine = rows[(rows >= start) & (rows < start + len(records))] - start
            taken.append(records[mine, 1:])
            start += len(records)
        return np.concatenate(taken).reshape(-1, 3, 32, 32)


def _parts(path: Path) -> dict[str, list[Path]]:
    if path.is_file() and path.suffix == ".bin":
        return {"train": [path]}
    train, test = sorted(path.glob("data_batch_*.bin")), path / "test_batch.bin"
    if train:
        return {"train": train, "test": [test]} if test.is_file() else {"train": train}
    if path.suffix == ".pkl" or (path.is_dir() and any(path.glob("data_batch_[0-9]"))):
        raise DataError(
            f"{path} holds the pickled version of CIFAR-10, which is not read because unpickling"
            " runs code; get the binary version, cifar-10-binary.tar.gz"
        )
    raise DataError(
        f"{path} holds no data_batch_*.bin and is no .bin file; unpack cifar-10-binary.tar.gz and"
        " give its folder"
    )


def _records(file: Path) -> NDArray[np.uint8]:
    """The file's records (n, 3073), mapped: only what is touched is read."""
    try:
        size = file.stat().st_size
        if size == 0 or size % _RECORD:
            raise DataError(
                f"{file} has {size} bytes, not a multiple of a record's {_RECORD}: truncated, or"
                " not CIFAR-10 binary"
            )
        return np.memmap(file, np.uint8, mode="r").reshape(-1, _RECORD)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error}") from error


def _labels(file: Path) -> Rows:
    labels = _records(file)[:, 0].astype(np.int64)
    if labels.max() >= len(_CLASSES):
        record = int(np.argmax(labels >= len(_CLASSES)))
        raise DataError(f"{file}: record {record} has label {labels[record]}, outside 0 to 9")
    return labels
