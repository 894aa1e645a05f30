"""The contract of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from hwnas.tasks._augment import Augment
from hwnas.tasks._spec import format_spec


@dataclass(frozen=True)
class Split:
    """Images `x`, float32 (n, C, H, W), normalised; labels `y`, int64 (n,), from 0."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Data:
    """What a trainer is given: two splits and how to treat them. The test split is not here.

    `mean` and `std` (one number a channel, in the units of the stored pixels) are the train
    split's statistics: an input of the trained network is `(pixels - mean) / std`.
    """

    train: Split
    valid: Split
    num_classes: int
    augment: Augment = field(default_factory=Augment)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


class Task(ABC):
    """Labelled images for one classification problem, split the same way wherever it is loaded.

    Contract:

    - A subclass sets `name`, under which it is registered in the entry-point group `hwnas.tasks`.
      Its constructor takes at most one positional parameter, `path`; its keyword-only parameters
      are its options. All are kept as attributes of the same names, which is how `spec` knows
      them. Making a task reads what `input_shape` and `num_classes` need (headers, labels, names),
      not the images.
    - `load(seed)` gives the train and validation splits, `test(seed)` the held-out test split.
      For one seed the three are disjoint, stratified by class and the same in every process, on
      every platform and for every order of the files on disk. All are normalised by the
      statistics of the train split. A search calls `load` only.
    - `input_shape` is (C, H, W); labels are 0 to `num_classes` - 1, named by `class_names`.
    - `defaults` are keyword arguments of `classify` that suit the task; options given by the user
      go before them.
    - Errors: `DataError`, naming the file, for data that cannot be read or used; `UsageError` for
      an option's value that makes no sense.
    - A task keeps no open files; it may be used by several threads.
    """

    name: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]] = {}

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The name of each class; the position is the label."""

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def spec(self) -> str:
        """Text from which `task_from_spec` makes this task again; paths in it are absolute."""
        return format_spec(self)

    @abstractmethod
    def load(self, seed: int) -> Data:
        """Read the train and validation splits that belong to `seed`."""

    @abstractmethod
    def test(self, seed: int) -> Split:
        """Read the test split that belongs to `seed`: for a final figure, never for a choice."""
