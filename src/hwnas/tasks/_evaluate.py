"""The evaluation of a classifier, and how a model is run: device, layout, precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwnas.errors import TrialError, UsageError
from hwnas.tasks._base import Split

_SCORED_AT_ONCE = 512


def evaluate(model: nn.Module, split: Split, *, device: str | None = None) -> dict[str, float]:
    """`accuracy` (0 to 1) and `loss` (mean cross entropy) of `model` on `split`.

    The model runs in eval mode and keeps the mode and the device it came with.

    Raises:
        UsageError: `device` is not there.
        TrialError: the model's output has the wrong shape.
    """
    was_training = model.training
    with placed(model, find_device(device)) as place:
        metrics = score(model, Split(split.x.to(place), split.y.to(place)))
    model.train(was_training)
    return metrics


@torch.no_grad()
def score(
    model: nn.Module, split: Split, layout: torch.memory_format = torch.contiguous_format
) -> dict[str, float]:
    """Accuracy and loss of a model that is where the split is; leaves it in eval mode."""
    model.eval()
    classes = int(split.y.max()) + 1
    correct, loss = split.x.new_zeros(()), split.x.new_zeros(())
    for start in range(0, len(split), _SCORED_AT_ONCE):
        x = split.x[start : start + _SCORED_AT_ONCE]
        y = split.y[start : start + _SCORED_AT_ONCE]
        logits = logits_of(model, x, classes, layout)
        correct += (logits.argmax(1) == y).sum()
        loss += F.cross_entropy(logits, y, reduction="sum")
    return {"accuracy": correct.item() / len(split), "loss": loss.item() / len(split)}


def logits_of(model: nn.Module, x: Tensor, classes: int, layout: torch.memory_format) -> Tensor:
    """The model's output in float32, checked to be logits of at least `classes` classes."""
    half = half_type(x.device)
    x = x.contiguous(memory_format=layout)
    with torch.autocast(x.device.type, dtype=half, enabled=half is not None):
        logits = model(x)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] < classes:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise TrialError(f"the model returns {got}; it must return logits (n, {classes})")
    return logits.float()


@contextmanager
def placed(model: nn.Module, place: torch.device) -> Iterator[torch.device]:
    """The model on `place`; put back where it was afterwards, in the usual memory layout."""
    home = next((parameter.device for parameter in model.parameters()), place)
    model.to(place)
    try:
        yield place
    finally:
        model.to(home)
        model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def choose_layout(model: nn.Module, x: Tensor) -> torch.memory_format:
    """Channels-last, in which convolutions train up to 1.5 times as fast, if the model runs so.

    A model that calls `view` on the output of a convolution does not. The model is left in eval
    mode, its weights in the layout chosen.
    """
    model.eval()
    for layout in (torch.channels_last, torch.contiguous_format):
        model.to(memory_format=layout)  # type: ignore[call-overload]
        try:
            with torch.no_grad():
                model(x.contiguous(memory_format=layout))
        except RuntimeError:
            continue
        return layout
    return torch.contiguous_format  # it fails in both: let training raise the model's own error


def half_type(place: torch.device) -> torch.dtype | None:
    """The 16-bit type to compute in: bfloat16 where the GPU has it; None off the GPU."""
    if place.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def find_device(name: str | None) -> torch.device:
    try:
        place = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError:
        raise UsageError(f"device '{name}' is not one that torch knows, such as cuda:0") from None
    if place.type == "cuda" and not (place.index or 0) < torch.cuda.device_count():
        raise UsageError(f"device '{name}' is not there; torch sees {torch.cuda.device_count()}")
    return place
