"""The meta-learned quantities and the inner loop: from a device's samples to its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hwnas.errors import PredictError
from hwnas.predict._help.modulation import Modulation, divergence
from hwnas.predict._help.network import Network, Weights

INNER_RATE = 1e-3
"""The rate of MAML, and the initial rates of Meta-SGD."""


@dataclass(frozen=True)
class Tasks:
    """Devices with the archs that they measured, as one batch of t tasks.

    Attributes:
        archs: encoded, (t, n, ...); graphs have their nodes before the archs (t, 9, n, features).
        scores: (t, n), the latencies scaled as the network gives them.
        embeddings: (t, e) hardware embeddings; None for networks without.
    """

    archs: Tensor
    scores: Tensor
    embeddings: Tensor | None


@dataclass(frozen=True)
class Meta:
    """What meta-training learns.

    Attributes:
        weights: the network's initial weights.
        rates: a step size for each of them (Meta-SGD); None for MAML's constant.
        inference: weights of the inference network of z; None without modulation.
    """

    network: Network
    weights: Weights
    rates: Weights | None
    inference: Weights | None

    @classmethod
    def initial(
        cls,
        network: Network,
        learns_rates: bool,
        generator: torch.Generator,
        device: torch.device,
    ) -> Meta:
        """Before training: random weights, equal rates. Networks with an embedding have z."""
        weights = network.initial(generator)
        rates = {name: torch.full_like(value, INNER_RATE) for name, value in weights.items()}
        inference = Modulation(network).initial(generator) if network.embedding else {}
        placed = [
            {name: value.to(device).requires_grad_() for name, value in group.items()}
            for group in (weights, rates, inference)
        ]
        return cls(network, placed[0], placed[1] if learns_rates else None, placed[2] or None)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `parameters` told elsewhere.

        Raises:
            PredictError: a tensor is missing, unknown, of a wrong shape, or not finite.
        """
        own = self.parameters()
        missing, unknown = sorted(own.keys() - tensors), sorted(tensors.keys() - own)
        problems = [
            f"{word} {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
            for word, names in (("it lacks", missing), ("it has the unknown", unknown))
            if names
        ]
        for name in own.keys() & tensors.keys():
            if tensors[name].shape != own[name].shape:
                problems.append(
                    f"{name} is {tuple(tensors[name].shape)}, not {tuple(own[name].shape)}"
                )
            elif not torch.isfinite(tensors[name]).all():
                problems.append(f"{name} is not finite")
        if problems:
            raise PredictError("; ".join(problems[:3]))
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(tensors[name])

    def parameters(self) -> dict[str, Tensor]:
        """All that is learnt, by group and name: `model.`, `task_lr.`, `inference_network.`."""
        groups = {
            "model": self.weights,
            "task_lr": self.rates or {},
            "inference_network": self.inference or {},
        }
        return {f"{group}.{k}": v for group, ws in groups.items() for k, v in ws.items()}

    def predict(self, weights: Mapping[str, Tensor], tasks: Tasks) -> Tensor:
        """Scores (t, n) by the weights of each task."""
        return self.network(weights, tasks.archs, tasks.embeddings)

    def adapted(
        self, tasks: Tasks, noise: Tensor | None, steps: int, differentiable: bool
    ) -> tuple[Weights, Tensor]:
        """Weights of each task after some gradient steps on its samples.

        Args:
            noise: (t, size of z) standard normal; needed with modulation.
            differentiable: keep the steps' graph, for gradients of second order.

        Returns:
            Weights with a leading axis of tasks, and the divergence of z (t,), 0 without.
        """
        count = len(tasks.scores)
        weights = {name: weight[None] for name, weight in self.weights.items()}
        divergences = torch.zeros(count, device=tasks.scores.device)
        if self.inference is not None:
            assert tasks.embeddings is not None
            assert noise is not None
            modulation = Modulation(self.network)
            mean, std = modulation.posterior(self.inference, tasks.embeddings)
            divergences = divergence(mean, std)
            weights = modulation.apply(weights, mean + std * noise)
        weights = {
            name: weight.expand(count, *self.weights[name].shape)
            for name, weight in weights.items()
        }
        for _ in range(steps):
            # A sum over tasks: each task's gradient is that of its own mean squared error.
            loss = (self.predict(weights, tasks) - tasks.scores).square().mean(1).sum()
            gradients = torch.autograd.grad(
                loss, list(weights.values()), create_graph=differentiable
            )
            weights = {
                name: weight - (INNER_RATE if self.rates is None else self.rates[name]) * gradient
                for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
            }
        return weights, divergences
