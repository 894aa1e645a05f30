"""`.pt` files that hold plain values: read without running anything that is in them."""

from __future__ import annotations

import pickle
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwnas.errors import PredictError

_CODES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}

# What torch's restricted unpickler raises on content that is cut off or bent on purpose.
_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    struct.error,
)


class _Dtype:
    """Stands for `numpy.dtype` while a file is read: numbers and truth values only."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if code not in _CODES:
            raise pickle.UnpicklingError(f"values of NumPy's type {code!r}")
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _scalar(dtype: _Dtype, data: bytes) -> float | int | bool:
    """Stands for `numpy.core.multiarray.scalar`: the plain Python number."""
    (value,) = np.frombuffer(data, np.dtype(dtype.order + dtype.code))
    plain: float | int | bool = value.item()
    return plain


def _encode(text: str, encoding: str) -> bytes:
    """Stands for `_codecs.encode`, as which pickles of protocol 2 write bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"an encoding {encoding!r}")
    return text.encode("latin1")


_ALLOWED: list[Any] = [
    (_Dtype, "numpy.dtype"),
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    (_encode, "_codecs.encode"),
]


def read_plain(path: Path) -> Any:
    """The lists, dicts, texts, numbers and tensors of a file that `torch.save` wrote.

    NumPy scalars become Python numbers. A file with anything else in it is refused before that is
    made: nothing of the file is ever run.

    Raises:
        PredictError: there is no such file, it is cut off, or it holds other objects.
    """
    try:
        with torch.serialization.safe_globals(_ALLOWED), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on files of another protocol
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise PredictError(f"{path} cannot be read: {error.strerror or error}") from error
    except _BROKEN as error:
        raise PredictError(
            f"{path} is cut off, or holds other things than plain values and is therefore not read"
        ) from error
