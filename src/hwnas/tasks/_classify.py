"""The ready trainer for classification."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from hwnas.errors import TrialError, UsageError
from hwnas.tasks._base import Data, Split
from hwnas.tasks._evaluate import choose_layout, find_device, half_type, logits_of, placed, score
from hwnas.tasks._trainer import Reporter, check_metrics


def classify(
    model: nn.Module,
    data: Data,
    report: Reporter,
    *,
    seed: int,
    epochs: int = 20,
    batch_size: int = 64,
    lr: float = 5e-3,
    weight_decay: float = 0.01,
    label_smoothing: float = 0.05,
    device: str | None = None,
) -> dict[str, float]:
    """Train `model` to classify; keeps the trainer contract (see `Trainer`).

    AdamW (Loshchilov and Hutter, 2019) under a one-cycle schedule (Smith and Topin, 2018) with
    cross entropy; weight decay acts on matrices and kernels, not on biases and norms. Channels-last
    where the model can; on a GPU in mixed precision, with the data moved there once.

    Args:
        model: Maps (n, C, H, W) to logits (n, classes).
        data: Train and validation splits.
        report: Given `accuracy`, `loss` and `train_loss` after each epoch.
        seed: Decides the order of the images, the augmentation and dropout.
        epochs: Passes over the train split.
        batch_size: Images a step.
        lr: The highest learning rate of the cycle.
        weight_decay: AdamW's decoupled weight decay.
        label_smoothing: Share of the target spread over all classes, in training only.
        device: A torch device; None takes the GPU when there is one.

    Returns:
        `accuracy` (0 to 1) and `loss` on the validation split, `train_loss` of the last epoch.

    Raises:
        UsageError: an option outside its range, or a device that is not there.
        TrialError: the loss is not finite, or the model's output has the wrong shape.
    """
    _check_options(epochs, batch_size, lr, weight_decay, label_smoothing)
    place = find_device(device)
    generator = torch.Generator().manual_seed(seed)
    gpus = [place] if place.type == "cuda" else []
    with torch.random.fork_rng(gpus), placed(model, place):
        layout = choose_layout(model, data.train.x[:2].to(place))
        torch.manual_seed(seed)
        train = Split(data.train.x.to(place), data.train.y.to(place))
        valid = Split(data.valid.x.to(place), data.valid.y.to(place))
        steps = math.ceil(len(train) / batch_size)
        optimizer = torch.optim.AdamW(
            _groups(model, weight_decay), lr=lr, fused=place.type == "cuda"
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=epochs * steps)
        scaler = torch.amp.GradScaler(place.type, enabled=half_type(place) is torch.float16)
        metrics: dict[str, float] = {}
        for epoch in range(1, epochs + 1):
            model.train()
            total = torch.zeros((), device=place)
            # Batches of nearly equal size: a last batch of one image would break batch norm.
            for rows in torch.randperm(len(train), generator=generator).tensor_split(steps):
                rows = rows.to(place)
                x = data.augment(train.x[rows], generator)
                logits = logits_of(model, x, data.num_classes, layout)
                loss = F.cross_entropy(logits, train.y[rows], label_smoothing=label_smoothing)
                optimizer.zero_grad()
                scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
                scaler.step(optimizer)
                scaler.update()
                schedule.step()
                total += loss.detach() * len(rows)
            metrics = {**score(model, valid, layout), "train_loss": total.item() / len(train)}
            if report(epoch, check_metrics(metrics)):
                break
    return metrics


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with and without weight decay."""
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise TrialError("the model has no parameters to train")
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _check_options(
    epochs: int, batch_size: int, lr: float, weight_decay: float, label_smoothing: float
) -> None:
    for name, value, good, want in (
        ("epochs", epochs, epochs >= 1, "at least 1"),
        ("batch_size", batch_size, batch_size >= 1, "at least 1"),
        ("lr", lr, lr > 0, "above 0"),
        ("weight_decay", weight_decay, weight_decay >= 0, "0 or more"),
        ("label_smoothing", label_smoothing, 0 <= label_smoothing < 1, "0 or more and below 1"),
    ):
        if not good:
            raise UsageError(f"option '{name}' of trainer 'classify' is {value}; it is {want}")
