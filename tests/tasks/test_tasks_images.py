"""Image folders and zips: layouts, decoding, and what is said of what cannot be read."""

from __future__ import annotations

import random
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from hwnas.errors import DataError, UsageError
from hwnas.tasks import Images


def zipped(folder: Path, target: Path, *, order: int = 0, inside: str = "") -> Path:
    """A zip of the folder's files, in an order of its own."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    random.Random(order).shuffle(files)
    with zipfile.ZipFile(target, "w") as archive:
        for file in files:
            archive.write(file, inside + file.relative_to(folder).as_posix())
    return target


def with_splits(photos: Path) -> Path:
    """The photos as train/, val/ and test/: six, two and two of each class."""
    root = photos.with_name("split")
    for name in ("ant", "bee", "cat"):
        for index, file in enumerate(sorted((photos / name).iterdir())):
            part = "train" if index < 6 else "val" if index < 8 else "test"
            (root / part / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, root / part / name)
    return root


def test_classes_are_the_sorted_folders(photo_folder: Path) -> None:
    task = Images(str(photo_folder), size=16, augment="none")
    assert task.class_names == ("ant", "bee", "cat")
    assert task.input_shape == (3, 16, 16)
    data = task.load(0)
    by_class = [data.train.x[data.train.y == label].mean().item() for label in range(3)]
    assert by_class == sorted(by_class)  # the fixture's classes grow brighter


def test_a_zip_in_any_order_is_the_same_as_the_folder(photo_folder: Path, tmp_path: Path) -> None:
    expected = Images(str(photo_folder)).load(7)
    for order, inside in ((1, ""), (2, ""), (3, "deep/inside/")):
        path = zipped(photo_folder, tmp_path / f"{order}.zip", order=order, inside=inside)
        data = Images(str(path)).load(7)
        assert torch.equal(data.train.x, expected.train.x)
        assert torch.equal(data.valid.y, expected.valid.y)


def test_split_folders_are_kept(photo_folder: Path, tmp_path: Path) -> None:
    root = with_splits(photo_folder)
    for path in (root, zipped(root, tmp_path / "split.zip", inside="photos/")):
        task = Images(str(path))
        assert [len(task.load(0).train), len(task.load(0).valid), len(task.test(0))] == [18, 6, 6]
        assert torch.equal(task.test(0).x, task.test(1).x)
        with pytest.raises(UsageError, match="has a validation part of its own"):
            Images(str(path), valid=0.3)
    shutil.rmtree(root / "val")
    data = Images(str(root)).load(0)
    assert [len(data.train), len(data.valid)] == [15, 3]


def test_a_class_may_be_called_train(photo_folder: Path) -> None:
    (photo_folder / "bee").rename(photo_folder / "train")
    assert Images(str(photo_folder)).class_names == ("ant", "cat", "train")


def test_hidden_files_other_files_and_nested_folders(photo_folder: Path) -> None:
    (photo_folder / "ant" / ".thumb.jpg").write_bytes(b"")
    (photo_folder / "ant" / "notes.txt").write_text("ants")
    (photo_folder / ".cache").mkdir()
    (photo_folder / "README.md").write_text("photos")
    (photo_folder / "cat" / "more").mkdir()
    (photo_folder / "cat" / "09.png").rename(photo_folder / "cat" / "more" / "09.PNG")
    task = Images(str(photo_folder))
    assert [int((task.labels()["train"] == label).sum()) for label in range(3)] == [10, 10, 10]


def test_a_link_to_the_folder_above_ends(photo_folder: Path) -> None:
    (photo_folder / "ant" / "again").symlink_to(photo_folder)
    assert len(Images(str(photo_folder)).labels()["train"]) == 30


def test_only_the_images_of_a_split_are_decoded(photo_folder: Path) -> None:
    task = Images(str(photo_folder), limit=3)
    before = task.load(0)
    task.test(0)
    kept = set()
    for part in ("train", "valid", "test"):
        _, rows = task._plan(0)[part]
        kept |= {task._names["train"][row] for row in rows}
    assert len(kept) == 9
    for file in photo_folder.rglob("*.*"):
        if file.relative_to(photo_folder).as_posix() not in kept:
            file.write_bytes(b"damaged")
    assert torch.equal(task.load(0).train.x, before.train.x)
    task.test(0)


def pixels_of(image: Image.Image, folder: Path, name: str, **options: Any) -> NDArray[np.uint8]:
    """What a task makes of one image: (C, size, size)."""
    for class_name in ("a", "b"):
        (folder / class_name).mkdir(parents=True, exist_ok=True)
        for index in range(3):
            image.save(folder / class_name / f"{index}{name}", **options)
    pixels = Images(str(folder), size=8).pixels("train", np.array([0]))
    return pixels.reshape(3, 8, 8)


def test_the_middle_is_kept_and_the_shape_is_not_squashed(tmp_path: Path) -> None:
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80] = 255
    found = pixels_of(Image.fromarray(wide), tmp_path, ".png")
    assert (found[:, :, 1:-1] == 255).all()
    assert (found > 200).all()  # the outer columns blend with their neighbours


def test_a_large_jpeg_is_scaled_well(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(800) // 4, (800, 1)).astype(np.uint8)
    found = pixels_of(Image.fromarray(ramp).convert("RGB"), tmp_path, ".jpg", quality=95)
    expected = np.tile((np.arange(8) + 0.5) * 25, (3, 8, 1))
    assert np.abs(found - expected).max() < 4


def test_an_image_is_turned_as_the_camera_noted(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 250
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right by a quarter
    found = pixels_of(Image.fromarray(pixels), tmp_path, ".png", exif=exif)
    assert (found[:, :, 4:] == 250).all()
    assert (found[:, :, :4] == 0).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_colour_mode_becomes_colour_or_grey(mode: str, tmp_path: Path) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 200 * 257, np.uint16))
    else:
        colour = Image.new("RGB", (8, 8), (200, 200, 200))
        image = colour.quantize() if mode == "P" else colour.convert(mode)
    found = pixels_of(image, tmp_path, ".tif" if mode == "CMYK" else ".png")
    assert found.shape == (3, 8, 8)
    if mode != "1":  # converting to one bit dithers
        assert np.abs(found.astype(int) - 200).max() <= 1
    grey = Images(str(tmp_path), size=8, grey=True)
    assert grey.input_shape == (1, 8, 8)
    assert grey.load(0).train.x.shape[1:] == (1, 8, 8)


def load_damaged(path: Path) -> None:
    task = Images(str(path))
    task.load(0)
    task.test(0)


def bomb() -> bytes:
    """A small PNG that announces 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">2I5B", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("03.png", b"", "is no image that Pillow knows"),
        ("02.jpg", b"<html>404</html>", "is no image that Pillow knows"),
        ("02.jpg", "cut", "does not decode as an image: .*truncated"),
        ("03.png", "cut", "does not decode as an image: Truncated"),
        ("03.png", "corrupt", "does not decode as an image"),
        ("03.png", bomb(), "does not decode as an image: .*decompression bomb"),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_an_image_that_does_not_decode_is_named(
    photo_folder: Path, tmp_path: Path, name: str, content: bytes | str, message: str, kind: str
) -> None:
    file = photo_folder / "bee" / name
    whole = file.read_bytes()
    if content == "cut":
        content = whole[: len(whole) * 9 // 10]
    elif content == "corrupt":
        content = whole[:100] + bytes(len(whole) - 200) + whole[-100:]
    assert isinstance(content, bytes)
    file.write_bytes(content)
    path = photo_folder if kind == "folder" else zipped(photo_folder, tmp_path / "photos.zip")
    with pytest.raises(DataError, match=rf"{path}/bee/{name} {message}"):
        load_damaged(path)


def test_a_class_folder_without_images_is_named(photo_folder: Path, tmp_path: Path) -> None:
    (photo_folder / "dog").mkdir()
    with pytest.raises(DataError, match="class folder 'dog' of train holds no image"):
        Images(str(photo_folder))
    (photo_folder / "dog" / "notes.txt").write_text("none yet")
    with pytest.raises(DataError, match="class folder 'dog' of train holds no image"):
        Images(str(zipped(photo_folder, tmp_path / "photos.zip")))


def test_a_class_too_small_to_split_is_named(photo_folder: Path) -> None:
    for file in sorted((photo_folder / "bee").iterdir())[2:]:
        file.unlink()
    with pytest.raises(DataError, match="photos: class 'bee' has 2 training images, at least 3"):
        Images(str(photo_folder))


def test_folders_without_classes(photo_folder: Path) -> None:
    with pytest.raises(DataError, match="ant holds no class folders"):
        Images(str(photo_folder / "ant"))


def test_split_folders_that_do_not_fit(photo_folder: Path) -> None:
    root = with_splits(photo_folder)
    (root / "test" / "cat").rename(root / "test" / "cow")
    with pytest.raises(DataError, match="class 'cow' is in test, but not in train"):
        Images(str(root))
    (root / "test").rename(root / "tset")
    with pytest.raises(DataError, match="folder 'tset' lies beside train and test and is neither"):
        Images(str(root))
    shutil.rmtree(root / "tset")
    (root / "train").rename(root / "valid")
    with pytest.raises(DataError, match="holds two folders of the valid split"):
        Images(str(root))
    shutil.rmtree(root / "val")
    with pytest.raises(DataError, match="holds valid, but no folder 'train'"):
        Images(str(root))


@pytest.mark.parametrize("name", ["../out/a.png", "/etc/a.png", "ant/../../a.png", "C:/a.png"])
def test_a_member_that_leaves_the_zip_is_refused(
    photo_folder: Path, tmp_path: Path, name: str
) -> None:
    path = zipped(photo_folder, tmp_path / "photos.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"")
    with pytest.raises(DataError, match=r"photos.zip: member .* points out of the archive"):
        Images(str(path))


def test_a_damaged_zip_is_named(photo_folder: Path, tmp_path: Path) -> None:
    path = zipped(photo_folder, tmp_path / "photos.zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"photos\.zip is no readable zip"):
        Images(str(path))
    damaged = bytearray(whole)
    damaged[len(whole) // 3] ^= 0xFF  # in some member's data
    path.write_bytes(bytes(damaged))
    with pytest.raises(DataError, match=r"photos\.zip/.*/\d\d\.(png|jpg) cannot be read"):
        load_damaged(path)


def test_an_encrypted_member_is_named(photo_folder: Path, tmp_path: Path) -> None:
    path = zipped(photo_folder, tmp_path / "photos.zip")
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + offset] |= 1  # the flag "encrypted"
            at = content.find(signature, at + 1)
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"cannot be read: .*encrypted"):
        load_damaged(path)


@pytest.mark.parametrize("size", [0, -1, 10_000])
def test_a_size_that_makes_no_sense(photo_folder: Path, size: int) -> None:
    with pytest.raises(UsageError, match=f"size={size} is not between"):
        Images(str(photo_folder), size=size)
