"""Arrays of numpy as bytes (its own npz format). Also runs on hosts that have no hwnas."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any


def pack_arrays(arrays: Sequence[Any]) -> bytes:
    """The arrays, in order; ValueError for arrays of objects."""
    import numpy as np

    if any(np.asarray(array).dtype.hasobject for array in arrays):
        raise ValueError("arrays of objects, such as strings, cannot be sent")
    buffer = io.BytesIO()
    np.savez(buffer, **{str(index): array for index, array in enumerate(arrays)})
    return buffer.getvalue()


def unpack_arrays(data: bytes) -> list[Any]:
    """The inverse of `pack_arrays`; ValueError for anything else."""
    import numpy as np

    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return [np.ascontiguousarray(file[str(index)]) for index in range(len(file.files))]
