"""IDX files: what is read, and what is said of those that cannot be."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import DataError
from hwnas.tasks import Idx


def images_bytes(count: int = 12, height: int = 6, width: int = 5) -> bytes:
    return struct.pack(">4I", 0x803, count, height, width) + bytes(count * height * width)


def labels_bytes(labels: list[int]) -> bytes:
    return struct.pack(">2I", 0x801, len(labels)) + bytes(labels)


def test_the_pixels_are_those_of_the_file(idx_folder: Path) -> None:
    task = Idx(str(idx_folder))
    content = gzip.decompress((idx_folder / "train-images-idx3-ubyte.gz").read_bytes())
    stored = np.frombuffer(content, np.uint8, offset=16).reshape(60, 6, 5)
    assert (task.pixels("train", np.array([3, 59]))[:, 0] == stored[[3, 59]]).all()
    assert task.input_shape == (1, 6, 5)
    assert task.class_names == ("0", "1", "2")


def test_t10k_is_the_test_split_whatever_the_seed(idx_folder: Path) -> None:
    task = Idx(str(idx_folder))
    assert len(task.test(0)) == len(task.test(1)) == 12
    assert (task.test(0).y == task.test(1).y).all()
    assert len(task.load(0).train) == 48


def test_a_lone_pair_is_split_in_three(idx_folder: Path) -> None:
    for file in idx_folder.glob("train-*"):
        file.unlink()
    task = Idx(str(idx_folder))
    data = task.load(0)
    assert [len(data.train), len(data.valid), len(task.test(0))] == [6, 3, 3]


def test_labels_may_count_from_one(idx_folder: Path) -> None:
    for file in idx_folder.glob("train-*"):
        file.unlink()
    (idx_folder / "t10k-labels-idx1-ubyte").write_bytes(labels_bytes([1, 2, 3] * 4))
    task = Idx(str(idx_folder))
    assert task.class_names == ("1", "2", "3")
    assert set(task.load(0).train.y.tolist()) == {0, 1, 2}


def test_names_with_a_dot_are_known(idx_folder: Path) -> None:
    for file in idx_folder.iterdir():
        file.rename(file.with_name(file.name.replace("-idx", ".idx")))
    assert len(Idx(str(idx_folder)).test(0)) == 12


def read_everything(folder: Path) -> None:
    task = Idx(str(folder))
    task.load(0)
    task.test(0)


def cut(name: str, keep: int) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:keep])

    return apply


def put(name: str, content: bytes) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return apply


def flipped(name: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 0xFF
        (folder / name).write_bytes(bytes(content))

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut("train-images-idx3-ubyte.gz", 900), "train-images.*cannot be read: .*end"),
        (cut("train-labels-idx1-ubyte.gz", 20), "train-labels.*cannot be read"),
        (flipped("train-images-idx3-ubyte.gz"), "train-images.*cannot be read"),
        (cut("t10k-images-idx3-ubyte", 100), "t10k-images.*truncated: 360 bytes .* 84 found"),
        (cut("t10k-images-idx3-ubyte", 9), "t10k-images.*header is incomplete"),
        (put("t10k-images-idx3-ubyte", images_bytes() + b"x"), "t10k-images.*longer"),
        (put("train-images-idx3-ubyte.gz", b"no gzip"), "train-images.*cannot be read: Not a gzip"),
        (put("t10k-labels-idx1-ubyte", images_bytes()), "t10k-labels.*magic number 2051.*has 2049"),
        (put("t10k-images-idx3-ubyte", b"GIF89a" + bytes(99)), "t10k-images.*magic number"),
        (put("t10k-labels-idx1-ubyte", labels_bytes([0, 1])), "t10k-images.*12 images.* 2 labels"),
        (
            put("t10k-labels-idx1-ubyte", labels_bytes([0, 7] * 6)),
            "t10k-labels.*label 7 is outside",
        ),
        (put("t10k-images-idx3-ubyte", images_bytes(12, 4, 4)), "4 x 4, .* of 6 x 5"),
        (put("kmnist-images-idx3-ubyte", images_bytes()), "kmnist.*has no labels file"),
        (put("kmnist-labels-idx1-ubyte", labels_bytes([0])), "kmnist.*has no images file"),
    ],
)
def test_a_damaged_file_is_named(
    idx_folder: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(idx_folder)
    with pytest.raises(DataError, match=message):
        read_everything(idx_folder)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 9] * 4, "t10k-labels.*count up from 0 or 1 without a gap, found 0, 1, 9"),
        ([0] * 10 + [1, 1], "class '1' has 2 training images, at least 3"),
        ([], "t10k-labels.*holds no labels"),
    ],
)
def test_labels_that_cannot_be_right(idx_folder: Path, labels: list[int], message: str) -> None:
    for file in idx_folder.glob("train-*"):
        file.unlink()
    (idx_folder / "t10k-labels-idx1-ubyte").write_bytes(labels_bytes(labels))
    (idx_folder / "t10k-images-idx3-ubyte").write_bytes(images_bytes(len(labels)))
    with pytest.raises(DataError, match=message):
        Idx(str(idx_folder))


def test_folders_that_hold_something_else(idx_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no IDX files; expected names such as"):
        Idx(str(tmp_path))
    with pytest.raises(DataError, match="is not a folder; give the folder"):
        Idx(str(idx_folder / "t10k-images-idx3-ubyte"))
    for kind, content in (("images-idx3", images_bytes()), ("labels-idx1", labels_bytes([0] * 12))):
        (idx_folder / f"more-{kind}-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=r"holds .*more.*; expected one pair"):
        Idx(str(idx_folder))
