"""Small data sets on disk, and the way to the measured data that are not in the project."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support import data_path


@pytest.fixture(scope="session")
def measured() -> Callable[[str], Path]:
    """The path of a measured data file; the test is skipped where it is absent."""
    return data_path


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    """60 training images of 3 classes, gzipped, and 12 test images, plain; 6 x 5 pixels."""
    folder = tmp_path / "idx"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for stem, count in (("train", 60), ("t10k", 12)):
        labels = (np.arange(count) % 3).astype(np.uint8)
        images = (rng.integers(0, 100, (count, 6, 5)) + 50 * labels[:, None, None]).astype(np.uint8)
        images_file = struct.pack(">4I", 0x803, count, 6, 5) + images.tobytes()
        labels_file = struct.pack(">2I", 0x801, count) + labels.tobytes()
        if stem == "train":
            (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images_file))
            (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels_file))
        else:
            (folder / "t10k-images-idx3-ubyte").write_bytes(images_file)
            (folder / "t10k-labels-idx1-ubyte").write_bytes(labels_file)
    return folder


@pytest.fixture
def cifar_folder(tmp_path: Path) -> Path:
    """Two batches of 40 training records and 20 test records, each class as often as another."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, count in (("data_batch_1", 40), ("data_batch_2", 40), ("test_batch", 20)):
        records = rng.integers(0, 256, (count, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(count) % 10
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return folder


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """10 PNG and JPEG images of each of 3 classes, of different sizes, not yet split."""
    folder = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for base, name in ((40, "ant"), (120, "bee"), (200, "cat")):
        (folder / name).mkdir(parents=True)
        for index in range(10):
            shape = (20 + 3 * index, 50 - 2 * index, 3)
            pixels = (rng.integers(0, 20, shape) + base).astype(np.uint8)
            suffix = "png" if index % 2 else "jpg"
            Image.fromarray(pixels).save(folder / name / f"{index:02}.{suffix}")
    return folder
