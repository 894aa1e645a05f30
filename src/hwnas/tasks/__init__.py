"""Datasets and ready trainers: what a network is trained on, and by whom.

A `Task` gives train and validation splits, and the held-out test split only when it is asked for
by name; `task_from_spec` makes one from text such as `digits` or `images:photos.zip?size=32`.
A trainer is any `train(model, data, report, *, seed, ...) -> metrics`; `classify` is the ready one.
"""

from __future__ import annotations

from hwnas.tasks._augment import Augment
from hwnas.tasks._base import Data, Split, Task
from hwnas.tasks._cifar10 import Cifar10
from hwnas.tasks._classify import classify
from hwnas.tasks._digits import Digits
from hwnas.tasks._evaluate import evaluate
from hwnas.tasks._evaluate_folder import (
    Accuracy,
    Preparation,
    evaluate_folder,
    image_size,
    read_class_map,
)
from hwnas.tasks._idx import Idx
from hwnas.tasks._image_task import ImageTask
from hwnas.tasks._images import Images
from hwnas.tasks._spec import task_from_spec
from hwnas.tasks._trainer import (
    Reporter,
    Trainer,
    check_metrics,
    check_trainer,
    load_trainer,
    trainer_options,
)

__all__ = [
    "Accuracy",
    "Augment",
    "Cifar10",
    "Data",
    "Digits",
    "Idx",
    "ImageTask",
    "Images",
    "Preparation",
    "Reporter",
    "Split",
    "Task",
    "Trainer",
    "check_metrics",
    "check_trainer",
    "classify",
    "evaluate",
    "evaluate_folder",
    "image_size",
    "load_trainer",
    "read_class_map",
    "task_from_spec",
    "trainer_options",
]
