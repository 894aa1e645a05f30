"""What all image tasks share: splits by seed, sampling, normalisation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas.errors import DataError, UsageError
from hwnas.tasks._augment import Augment
from hwnas.tasks._base import Data, Split, Task
from hwnas.tasks._split import Rows, sample, split

_VALID, _TEST = 0.2, 0.2

AugmentName = Literal["none", "shift", "flip", "shift+flip"]


class ImageTask(Task):
    """A task over stored pixels: a subclass says what labels there are and how to fetch images.

    The data come in parts: `train` always, `valid` and `test` where the data fix them. A split
    that is not fixed is drawn from `train` by the seed: 20 % of each class for the test split,
    the fraction `valid` (default 20 %) for the validation split.

    Args:
        limit: At most so many images in each split, sampled by class; None for all.
        valid: The fraction of the training images that validate; only where the data have no
            validation part of their own.
        augment: `none`, `shift` (by up to a twelfth of the height), `flip` (left-right) or
            `shift+flip`.
    """

    def __init__(self, *, limit: int | None, valid: float | None, augment: AugmentName) -> None:
        self.limit = limit
        self.valid = valid
        self.augment: AugmentName = augment

    @abstractmethod
    def labels(self) -> Mapping[str, Rows]:
        """Part -> labels, int64 (n,): `train`, and `valid` and `test` where they are fixed."""

    @abstractmethod
    def pixels(self, part: str, rows: Rows) -> NDArray[np.uint8]:
        """The images of a part's rows, uint8 (len(rows), C, H, W)."""

    def check(self) -> None:
        """Check the options against the data; for the end of a subclass's constructor.

        Raises:
            UsageError: a value that makes no sense for these data.
            DataError: a class too small to be split.
        """
        parts = self.labels()
        for part, labels in parts.items():
            if not len(labels):
                raise DataError(f"{self.spec} has no {part} images")
        if self.limit is not None and self.limit < self.num_classes:
            raise UsageError(
                f"limit={self.limit} is too small for task '{self.name}': it has"
                f" {self.num_classes} classes and each needs an image"
            )
        if self.valid is not None and "valid" in parts:
            raise UsageError(f"{self.spec} has a validation part of its own; leave out 'valid'")
        most = 1.0 if "test" in parts else 1.0 - _TEST
        if self.valid is not None and not 0 < self.valid < most:
            raise UsageError(f"valid={self.valid} is not a fraction between 0 and {most:g}")
        self._plan(0)

    def load(self, seed: int) -> Data:
        plan = self._plan(seed)
        train = self._fetch(plan["train"])
        mean, std = _statistics(train)
        valid = self._fetch(plan["valid"])
        return Data(
            train=self._split(plan["train"], train, mean, std),
            valid=self._split(plan["valid"], valid, mean, std),
            num_classes=self.num_classes,
            augment=Augment(
                shift=max(1, round(self.input_shape[1] / 12)) if "shift" in self.augment else 0,
                flip="flip" in self.augment,
            ),
            mean=tuple(mean.tolist()),
            std=tuple(std.tolist()),
        )

    def test(self, seed: int) -> Split:
        plan = self._plan(seed)
        mean, std = _statistics(self._fetch(plan["train"]))
        return self._split(plan["test"], self._fetch(plan["test"]), mean, std)

    def _plan(self, seed: int) -> dict[str, tuple[str, Rows]]:
        """Split -> the part it comes from and the rows of it."""
        parts = self.labels()
        drawn = {"valid": self.valid or _VALID, "test": _TEST}
        fractions = {name: share for name, share in drawn.items() if name not in parts}
        chosen = {name: (name, np.arange(len(parts[name]))) for name in drawn if name in parts}
        for name, rows in split(
            parts["train"], fractions, seed, self.class_names, self.spec
        ).items():
            chosen[name] = ("train", rows)
        if self.limit is not None:
            for name, (part, rows) in chosen.items():
                chosen[name] = (part, sample(parts[part], rows, self.limit, seed))
        return chosen

    def _fetch(self, chosen: tuple[str, Rows]) -> Tensor:
        pixels = self.pixels(*chosen)
        # Flat and back: a single channel may have any stride, and convolutions go by strides.
        return torch.from_numpy(pixels.ravel()).float().view(pixels.shape)

    def _split(self, chosen: tuple[str, Rows], x: Tensor, mean: Tensor, std: Tensor) -> Split:
        part, rows = chosen
        x.sub_(mean[:, None, None]).div_(std[:, None, None])
        return Split(x, torch.from_numpy(self.labels()[part][rows]))


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    std, mean = torch.std_mean(x, dim=(0, 2, 3), correction=0)
    return mean, torch.where(std > 0, std, 1.0)  # a channel that never varies stays as it is
