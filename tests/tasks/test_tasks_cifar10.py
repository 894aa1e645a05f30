"""CIFAR-10's binary version."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import DataError
from hwnas.tasks import Cifar10


def test_records_are_read_across_files(cifar_folder: Path) -> None:
    task = Cifar10(str(cifar_folder))
    second = np.fromfile(cifar_folder / "data_batch_2.bin", np.uint8).reshape(-1, 3073)
    image = task.pixels("train", np.array([5, 43]))[1]
    assert (image.reshape(-1) == second[3, 1:]).all()
    assert task.labels()["train"][43] == second[3, 0]
    assert task.class_names[3] == "cat"


def test_test_batch_is_the_test_split(cifar_folder: Path) -> None:
    task = Cifar10(str(cifar_folder))
    assert len(task.test(0)) == 20
    assert (task.test(0).y == task.test(1).y).all()


def test_one_file_is_split_in_three(cifar_folder: Path) -> None:
    task = Cifar10(str(cifar_folder / "data_batch_1.bin"))
    data = task.load(0)
    assert [len(data.train), len(data.valid), len(task.test(0))] == [20, 10, 10]


def test_a_truncated_record_is_an_error(cifar_folder: Path) -> None:
    file = cifar_folder / "data_batch_2.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"data_batch_2.bin has 122919 bytes, not a multiple"):
        Cifar10(str(cifar_folder))


def test_an_empty_file_is_an_error(cifar_folder: Path) -> None:
    (cifar_folder / "test_batch.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"test_batch.bin has 0 bytes"):
        Cifar10(str(cifar_folder))


def test_a_label_above_nine_is_an_error(cifar_folder: Path) -> None:
    file = cifar_folder / "test_batch.bin"
    content = bytearray(file.read_bytes())
    content[2 * 3073] = 10
    file.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"test_batch.bin: record 2 has label 10, outside 0 to 9"):
        Cifar10(str(cifar_folder))


def test_a_missing_class_is_an_error(cifar_folder: Path) -> None:
    records = np.zeros((40, 3073), np.uint8)
    records[:, 0] = np.arange(40) % 9
    (cifar_folder / "data_batch_1.bin").write_bytes(records.tobytes())
    (cifar_folder / "data_batch_2.bin").write_bytes(records.tobytes())
    with pytest.raises(DataError, match="class 'truck' has 0 training images"):
        Cifar10(str(cifar_folder))


def test_the_pickled_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"labels": [0]}))
    with pytest.raises(
        DataError, match=r"pickled version .* not read because unpickling runs code"
    ):
        Cifar10(str(tmp_path))


def test_something_else_is_told_what_to_get(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data_batch_.*unpack cifar-10-binary.tar.gz"):
        Cifar10(str(tmp_path))
