"""Image files to arrays of one size, with Pillow."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from hwnas.errors import DataError


def decode(files: Iterable[tuple[str, bytes]], size: int, *, grey: bool) -> NDArray[np.uint8]:
    """Decode files (name, content), at least one, to uint8 (n, 3 or 1, size, size).

    The shorter side is scaled to `size` and the middle is kept, turned as the camera noted.

    Raises:
        DataError: a file does not decode, or announces so many pixels that it may be a bomb.
    """

    def fitted(content: bytes, mode: str) -> Image.Image:
        # JPEG can decode at a half, a quarter or an eighth; twice the size keeps it sharp.
        upright = _upright(content, mode, draft=2 * size)
        if upright.size == (size, size):
            return upright
        return ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)

    return _stacked(files, fitted, size, grey=grey)


def decode_centre(
    files: Iterable[tuple[str, bytes]], resize: int, size: int, *, grey: bool
) -> NDArray[np.uint8]:
    """Decode files as `decode` does, with the shorter side scaled to `resize` before the middle of
    `size` is cut out: the evaluation of ImageNet classifiers.

    Raises:
        DataError: as `decode` does.
    """

    def cut(content: bytes, mode: str) -> Image.Image:
        image = _upright(content, mode)
        scale = resize / min(image.size)
        width, height = (max(resize, int(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = round((width - size) / 2), round((height - size) / 2)
        return image.crop((left, top, left + size, top + size))

    return _stacked(files, cut, size, grey=grey)


def _stacked(
    files: Iterable[tuple[str, bytes]],
    read: Callable[[bytes, str], Image.Image],
    size: int,
    *,
    grey: bool,
) -> NDArray[np.uint8]:
    images = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for name, content in files:
            try:
                images.append(np.asarray(read(content, "L" if grey else "RGB")))
            except UnidentifiedImageError as error:
                raise DataError(f"{name} is no image that Pillow knows") from error
            # What Pillow's decoders raise on damaged files; SyntaxError is its PNG reader's.
            except (
                OSError,
                SyntaxError,
                ValueError,
                EOFError,
                IndexError,
                OverflowError,
                struct.error,
                Image.DecompressionBombError,
                Image.DecompressionBombWarning,
            ) as error:
                raise DataError(f"{name} does not decode as an image: {error}") from error
    stacked = np.stack(images).reshape(len(images), size, size, -1)
    return np.ascontiguousarray(stacked.transpose(0, 3, 1, 2))


def _upright(content: bytes, mode: str, *, draft: int | None = None) -> Image.Image:
    """The image, turned as the camera noted; with sides of at least `draft`, if given and there."""
    if content.startswith(b"\x89PNG"):  # damaged PNG data may decode: ask for its check sums
        with Image.open(io.BytesIO(content)) as image:
            image.verify()
    with Image.open(io.BytesIO(content)) as image:
        if draft is not None:
            image.draft(mode, (draft, draft))
        upright: Image.Image = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):
            upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
        return upright if upright.mode == mode else upright.convert(mode)
