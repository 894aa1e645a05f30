"""The latency networks, as functions of their weights: many tasks in one call.

Each weight has a leading axis of tasks, so that the networks of all devices of an episode, each
with weights of its own, run as batched matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu

Weights = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Network:
    """HELP's latency network (Lee et al., NeurIPS 2021, section 4 and the published weights).

    An encoder of the arch (four graph convolutions, or two linear layers), beside it two linear
    layers of the hardware embedding if there is one, and three linear layers on both.

    Attributes:
        features: of an arch: of each node, or of the vector.
        adjacency: (nodes, nodes) where archs are graphs: whose features each node sums. Else None.
        embedding: length of the hardware embedding; 0 for a network without.
        width: of the hidden layers.
    """

    features: int
    adjacency: Tensor | None
    embedding: int
    width: int = 100

    @property
    def joined(self) -> int:
        """The width of the layers after the encoders."""
        return self.width * (2 if self.embedding else 1)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each weight, named as in the published checkpoints.

        Graph convolutions are (in, out), linear layers (out, in).
        """
        width, joined = self.width, self.joined
        layers: dict[str, tuple[int, int]] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        if self.adjacency is not None:
            for number in range(1, 5):
                inputs = self.features if number == 1 else width
                shapes[f"gc{number}.weight"] = (inputs, width)
                shapes[f"gc{number}.bias"] = (width,)
        else:
            layers |= {"fc1": (width, self.features), "fc2": (width, width)}
        if self.embedding:
            layers |= {"fc_hw1": (width, self.embedding), "fc_hw2": (width, width)}
        layers |= {"fc3": (joined, joined), "fc4": (joined, joined), "fc5": (1, joined)}
        for name, shape in layers.items():
            shapes[f"{name}.weight"] = shape
            shapes[f"{name}.bias"] = shape[:1]
        return shapes

    def initial(self, generator: torch.Generator) -> Weights:
        """Random weights (without the axis of tasks)."""
        weights: Weights = {}
        for name, shape in self.shapes().items():
            layer, kind = name.split(".")
            if layer.startswith("gc"):
                bound = 0.05 if kind == "weight" else 1 / math.sqrt(shape[0])
            else:
                bound = 1 / math.sqrt(self.shapes()[f"{layer}.weight"][1])
            weights[name] = (2 * torch.rand(shape, generator=generator) - 1) * bound
        return weights

    def __call__(
        self,
        weights: Mapping[str, Tensor],
        archs: Tensor,
        embeddings: Tensor | None,
    ) -> Tensor:
        """Scores of archs.

        Args:
            weights: each with a leading axis of t tasks.
            archs: (t, nodes, n, features) graphs, or (t, n, features) vectors.
            embeddings: (t, embedding) of the devices, for a network that has them.

        Returns:
            (t, n).
        """
        if self.adjacency is not None:
            hidden = _convolve(weights, archs, self.adjacency.to(archs.device))
        else:
            hidden = relu(_linear(weights, "fc1", archs))
            hidden = relu(_linear(weights, "fc2", hidden))
        if self.embedding:
            assert embeddings is not None
            device = relu(_linear(weights, "fc_hw1", embeddings[:, None]))
            device = relu(_linear(weights, "fc_hw2", device))
            hidden = torch.cat([hidden, device.expand(-1, hidden.shape[1], -1)], dim=-1)
        hidden = relu(_linear(weights, "fc3", hidden))
        hidden = relu(_linear(weights, "fc4", hidden))
        return _linear(weights, "fc5", hidden)[..., 0]


def _linear(weights: Mapping[str, Tensor], layer: str, x: Tensor) -> Tensor:
    weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
    return torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))


def _convolve(weights: Mapping[str, Tensor], nodes: Tensor, adjacency: Tensor) -> Tensor:
    """Four graph convolutions, the last at the last node: (t, nodes, n, f) to (t, n, width)."""
    tasks, count, n, _ = nodes.shape
    for number in range(1, 5):
        rows = adjacency if number < 4 else adjacency[-1:]
        # First the sum over neighbours, (rows, nodes) @ (nodes, n * f) for each task.
        summed = (rows @ nodes.reshape(tasks, count, -1)).reshape(tasks, len(rows) * n, -1)
        bias = weights[f"gc{number}.bias"][:, None]
        nodes = relu(torch.baddbmm(bias, summed, weights[f"gc{number}.weight"]))
        nodes = nodes.reshape(tasks, len(rows), n, -1)
    return nodes[:, 0]
