"""Image files to arrays of one size, with Pillow."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterable

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
    images = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for name, content in files:
            try:
                images.append(_decode(content, size, "L" if grey else "RGB"))
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


def _decode(content: bytes, size: int, mode: str) -> NDArray[np.uint8]:
    if content.startswith(b"\x89PNG"):  # damaged PNG data may decode: ask for its check sums
        with Image.open(io.BytesIO(content)) as image:
            image.verify()
    with Image.open(io.BytesIO(content)) as image:
        # JPEG can decode at a half, a quarter or an eighth; twice the size keeps it sharp.
        image.draft(mode, (2 * size, 2 * size))
        upright: Image.Image = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):
            upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
        if upright.mode != mode:
            upright = upright.convert(mode)
        if upright.size != (size, size):
            upright = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
        return np.asarray(upright)
