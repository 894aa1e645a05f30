"""The latent z: what the hardware embedding changes in the initial weights of a device."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from hwnas.predict._help.network import Network, Weights

_MODULATED = ("fc3", "fc4", "fc5")
_HIDDEN = 10
SCALE = 0.01


@dataclass(frozen=True)
class Modulation:
    """z ~ q(z | hardware embedding), normal; scales inputs and shifts outputs of three layers.

    Lee et al., section 4.2. The weights of layer l become W (1 + s z_w), its bias b + s z_b with a
    z_w for each input and one z_b for the layer, s = 0.01.
    """

    network: Network

    @property
    def size(self) -> int:
        """The length of z."""
        return (self.network.joined + 1) * len(_MODULATED)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the inference network's weights, named as in the published checkpoints."""
        return {
            "z_encoder.0.weight": (_HIDDEN, self.network.embedding),
            "z_encoder.0.bias": (_HIDDEN,),
            "z_encoder.2.weight": (2 * self.size, _HIDDEN),
            "z_encoder.2.bias": (2 * self.size,),
        }

    def initial(self, generator: torch.Generator) -> Weights:
        """Random weights of the inference network."""
        shapes = self.shapes()
        weights: Weights = {}
        for name, shape in shapes.items():
            bound = 1 / math.sqrt(shapes[name.rsplit(".", 1)[0] + ".weight"][1])
            weights[name] = (2 * torch.rand(shape, generator=generator) - 1) * bound
        return weights

    def posterior(
        self, inference: Mapping[str, Tensor], embeddings: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean and deviation (t, size) of z for hardware embeddings (t, embedding)."""
        hidden = relu(
            embeddings @ inference["z_encoder.0.weight"].T + inference["z_encoder.0.bias"]
        )
        both = hidden @ inference["z_encoder.2.weight"].T + inference["z_encoder.2.bias"]
        return both[:, : self.size], softplus(both[:, self.size :])

    def apply(self, weights: Mapping[str, Tensor], z: Tensor) -> Weights:
        """The weights for each z (t, size): a leading axis of t where z has changed them."""
        joined = self.network.joined
        scales, shifts = z[:, : joined * len(_MODULATED)], z[:, joined * len(_MODULATED) :]
        changed = dict(weights)
        for place, layer in enumerate(_MODULATED):
            scale = scales[:, None, place * joined : (place + 1) * joined]
            changed[f"{layer}.weight"] = weights[f"{layer}.weight"] * (1 + SCALE * scale)
            shift = shifts[:, place, None]
            changed[f"{layer}.bias"] = weights[f"{layer}.bias"] + SCALE * shift
        return changed


def divergence(mean: Tensor, std: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, std) from N(0, 1), summed over the last axis."""
    return (0.5 * (mean**2 + std**2 - 1) - std.log()).sum(-1)
