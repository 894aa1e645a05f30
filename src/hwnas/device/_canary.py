"""The canary: a small network whose latency tells how fast the host is at this moment.

The speed of a shared or thermally limited host drifts by tens of percent within seconds, and no
statistic of one model repairs that. A model timed next to the canary is divided by it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import nn

from hwnas.device._base import Inputs, Runtime
from hwnas.device._paths import cache_folder
from hwnas.device._runtimes.agreement import check_agreement, eager_outputs
from hwnas.device._runtimes.export import export_onnx
from hwnas.device._timing.runnable import Runnable


def canary_model() -> nn.Module:
    """A plain convolutional network, the same on every host (about 0.2 ms on one CPU core)."""
    model = nn.Sequential(
        nn.Conv2d(3, 24, 3, stride=2, padding=1),
        nn.ReLU(),
        *_separable(24),
        *_separable(24),
        nn.Conv2d(24, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        *_separable(32),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = parameter[0].numel() ** -0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return model.eval()


def _separable(channels: int) -> tuple[nn.Module, ...]:
    depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
    return depthwise, nn.Conv2d(channels, channels, 1), nn.ReLU()


def canary_inputs() -> Inputs:
    """Its inputs, always the same."""
    return (torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32),)


def canary_file() -> Path:
    """The canary as an ONNX file, exported once per user."""
    model = canary_model()
    version = hashlib.sha256(f"{model}{torch.__version__}".encode()).hexdigest()[:12]
    path = cache_folder() / f"canary-{version}.onnx"
    if not path.exists():
        export_onnx(model, canary_inputs(), path)
    return path


def load_canary(runtime: Runtime, copies: int) -> list[Runnable]:
    """Copies of the canary in `runtime`."""
    model, inputs = canary_model(), canary_inputs()
    if not runtime.reads_onnx:
        return runtime.load_copies(model, inputs, copies)
    loaded = runtime.load_copies(canary_file(), inputs, copies)
    check_agreement(
        eager_outputs(model, inputs), loaded[0].outputs(), runtime.name, runtime.rounding
    )
    return loaded
