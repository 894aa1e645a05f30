"""The network in a folder written by `export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.errors import JobError
from hwnas.report._card_data import Card

if TYPE_CHECKING:
    from torch import nn

    from hwnas.tasks import Preparation


def read_network(folder: Path, card: Card) -> nn.Module | None:
    """The network with its weights, in eval mode; None if its space cannot be imported."""
    from safetensors.torch import load_model

    from hwnas.zoo import load_space

    if card.space.reference is None:
        return None
    space = load_space(card.space.reference, card.input_shape, card.num_classes)
    model = space.build(card.arch)
    load_model(model, str(folder / "model.safetensors"))
    return model.eval()


def read_classifier(folder: Path) -> tuple[nn.Module | Path, Preparation]:
    """An exported classifier of images, and how its inputs are made: as in its training.

    The network is an ONNX file where its space cannot be imported.

    Raises:
        JobError: the folder is no export, or its network is no classifier of square images.
    """
    from hwnas.tasks import Preparation

    card = Card.read(folder)
    shape = card.input_shape or ()
    if card.pixels is None or len(shape) != 3 or shape[1] != shape[2]:
        raise JobError(f"{folder} holds no classifier of square images")
    mean, std = (tuple(value / 255 for value in values) for values in card.pixels)
    preparation = Preparation(size=shape[1], resize=shape[1], mean=mean, std=std)
    return read_network(folder, card) or folder / "model.onnx", preparation
