"""Your own network, your own training loop, one budget: everything in one file.

    python examples/own_network.py [TRIALS]

The network is a plain `torch.nn.Module`. What may vary is said where it is used; what a search
builds from it is plain PyTorch again.
"""

from __future__ import annotations

import sys
import tempfile

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import hwnas
from hwnas.space import nn as snn
from hwnas.tasks import Data, Reporter


class Mixer(nn.Module):
    """Mixes the patches of an 8x8 image by convolution or by attention."""

    def __init__(self, width: int, index: int) -> None:
        super().__init__()
        self.norm = snn.BatchNorm1d(width)
        self.mix = hwnas.LayerChoice(
            {
                "conv": lambda: snn.Conv1d(width, width, 3, padding=1, groups=width),
                "wide": lambda: snn.Conv1d(width, width, 7, padding=3, groups=width),
                "none": nn.Identity,
            },
            label=f"mix{index}",
        )
        self.project = snn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.gelu(self.project(self.mix(self.norm(x))))  # (N, width, 16)


class PatchNet(nn.Module):
    """Patches of 2x2 pixels, `depth` mixers, mean over the patches, ten scores."""

    def __init__(self) -> None:
        super().__init__()
        width = hwnas.Choice([16, 32, 48], label="width")
        self.patches = snn.Conv2d(1, width, 2, stride=2)
        self.mixers = hwnas.Repeat(
            lambda i: Mixer(width, i), depth=hwnas.Choice([1, 2, 3, 4], label="depth")
        )
        self.head = snn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images)  # (N, 1, 8, 8) -> (N, width, 4, 4)
        x = self.mixers(x.flatten(2))  # (N, width, 16)
        return self.head(x.mean(2))  # (N, 10)


def train(
    model: nn.Module, data: Data, report: Reporter, *, seed: int, epochs: int = 15
) -> dict[str, float]:
    """A loop as one writes it; `report` streams, and says when to stop early."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    accuracy = 0.0
    for epoch in range(1, epochs + 1):
        model.train()
        for rows in torch.randperm(len(data.train)).split(64):
            loss = F.cross_entropy(model(data.train.x[rows]), data.train.y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            right = model(data.valid.x).argmax(1) == data.valid.y
        accuracy = float(right.float().mean())
        if report(epoch, {"accuracy": accuracy}):
            break
    return {"accuracy": accuracy}


def main() -> None:
    """Search, and print the front of accuracy against parameters."""
    result = hwnas.search(
        hwnas.ModelSpace(PatchNet),
        train,
        task="digits",
        budget="params <= 6 k, macs <= 60 k",
        trials=int(sys.argv[1]) if len(sys.argv) > 1 else 12,
        parallel=2,
        folder=tempfile.mkdtemp(prefix="own-network-") + "/job",
    )
    for trial in result.pareto():
        print(f"{trial.metrics['accuracy']:.4f}  {trial.costs['params'].value:6.0f}  {trial.arch}")
    print(f"winner: trial {result.best.number}; everything is in {result.folder}")


if __name__ == "__main__":
    main()
