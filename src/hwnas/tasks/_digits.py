"""The 1,797 handwritten digits that come with scikit-learn: the default, no download."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.tasks._image_task import AugmentName, ImageTask
from hwnas.tasks._split import Rows


class Digits(ImageTask):
    """Real handwritten digits, 1 x 8 x 8, ten classes; 60 % train, 20 % valid, 20 % test.

    Source: scikit-learn's `load_digits`, the test part of the UCI set "Optical Recognition of
    Handwritten Digits" (Alpaydin and Kaynak, 1998).
    """

    name = "digits"
    defaults = {"epochs": 25, "lr": 0.01}

    def __init__(
        self,
        *,
        limit: int | None = None,
        valid: float | None = None,
        augment: AugmentName = "shift",
    ) -> None:
        super().__init__(limit=limit, valid=valid, augment=augment)
        self.check()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return 1, 8, 8

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple("0123456789")

    def labels(self) -> Mapping[str, Rows]:
        return {"train": self._table[:, 64].astype(np.int64)}

    def pixels(self, part: str, rows: Rows) -> NDArray[np.uint8]:
        return self._table[rows, :64].reshape(-1, 1, 8, 8)

    @cached_property
    def _table(self) -> NDArray[np.uint8]:
        """1,797 rows of 64 pixels (0 to 16) and the digit."""
        # Importing scikit-learn takes a second in every worker; its table is read without it.
        package = find_spec("sklearn")
        folders = package.submodule_search_locations if package else None
        for folder in folders or []:
            file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
            if file.is_file():
                with gzip.open(file, "rt") as lines:
                    return np.loadtxt(lines, delimiter=",", dtype=np.uint8)
        from sklearn.datasets import load_digits

        digits = load_digits()
        return np.column_stack([digits.data, digits.target]).astype(np.uint8)
