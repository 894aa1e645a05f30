"""Measured data of others, for the tests of the zoo."""

from __future__ import annotations

import numpy as np
import torch

from support import data_path


def published(name: str) -> object:
    """What a file of plain values holds; NumPy scalars are allowed, nothing else."""
    allowed = [
        (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),
        np.dtype,
        np.dtypes.Int64DType,
    ]
    with torch.serialization.safe_globals(allowed):
        return torch.load(data_path(name), weights_only=True)
