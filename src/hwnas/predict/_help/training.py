"""Meta-training: episodes over devices, resumable at any moment."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hwnas._files import replacing
from hwnas.errors import PredictError
from hwnas.predict._help.meta import Meta
from hwnas.predict._help.modulation import Modulation
from hwnas.predict._help.pool import Pool


@dataclass(frozen=True)
class MetaSchedule:
    """How HELP is meta-trained; the defaults are the published ones.

    Attributes:
        episodes: FBNet's published weights took 4,000.
        tasks: devices in an episode, or as many as there are.
        samples: archs a device adapts to.
        queries: archs it is judged by after that.
        steps: gradient steps of the inner loop.
        rate: of Adam.
        divergence: weight of z's divergence from its prior, for each task.
        second_order: differentiate through the inner steps.
        every: episodes between validations, and between checkpoints.

    Raises:
        PredictError: a count is below one, or a rate below zero.
    """

    episodes: int = 2000
    tasks: int = 8
    samples: int = 10
    queries: int = 200
    steps: int = 2
    rate: float = 1e-4
    divergence: float = 0.1
    second_order: bool = True
    every: int = 50

    def __post_init__(self) -> None:
        for name in ("episodes", "tasks", "samples", "queries", "steps", "every"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise PredictError(f"a schedule's {name} must be a whole number from 1: {value!r}")
        for name in ("rate", "divergence"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise PredictError(f"a schedule's {name} must be a number from 0: {value!r}")


@dataclass(frozen=True)
class MetaProgress:
    """How far a training is.

    Attributes:
        episode: episodes done, of `episodes`.
        loss: mean squared error of the scores of the last episode.
        correlation: mean Spearman correlation over the validation devices when last validated.
    """

    episode: int
    episodes: int
    loss: float
    correlation: float | None


class Training:
    """One training of one `Meta`; `run` makes it, or goes on where a checkpoint stands.

    All chance comes from one generator on the CPU, whose state is part of the checkpoint, so a
    training that was cut off ends with the weights of an unbroken one.
    """

    def __init__(
        self,
        meta: Meta,
        pool: Pool,
        devices: Sequence[str],
        validation: Sequence[str],
        schedule: MetaSchedule,
        seed: int,
    ) -> None:
        self._meta = meta
        self._pool = pool
        self._names = list(devices)
        self._validation = list(validation)
        self._schedule = schedule
        self._seed = seed
        self._parameters = meta.parameters()
        self._adam = torch.optim.Adam(self._parameters.values(), lr=schedule.rate)
        self._generator = torch.Generator().manual_seed(seed)
        self._episode = 0
        self._correlation: float | None = None
        self._best: dict[str, Tensor] = {}
        self._best_correlation: float | None = None
        self._request = self._fingerprint()

    def run(
        self,
        checkpoint: Path | None = None,
        progress: Callable[[MetaProgress], None] | None = None,
    ) -> Meta:
        """The learnt quantities: those that did best on the validation devices, or the last.

        Raises:
            PredictError: the checkpoint is of another training, or cannot be read.
        """
        if checkpoint is not None and checkpoint.exists():
            self._restore(checkpoint)
        while self._episode < self._schedule.episodes:
            loss = self._step()
            self._episode += 1
            last = self._episode == self._schedule.episodes
            if self._episode % self._schedule.every == 0 or last:
                self._validate()
                if checkpoint is not None:
                    self._save(checkpoint)
            if progress is not None:
                progress(
                    MetaProgress(self._episode, self._schedule.episodes, loss, self._correlation)
                )
        with torch.no_grad():
            for name, value in self._best.items():
                self._parameters[name].copy_(value)
        return self._meta

    def _fingerprint(self) -> str:
        """Of all that the result rests on but the number of episodes, which may be raised."""
        options = {
            "schedule": {k: v for k, v in asdict(self._schedule).items() if k != "episodes"},
            "seed": self._seed,
            "devices": self._names,
            "validation": self._validation,
            "shapes": {name: list(value.shape) for name, value in self._parameters.items()},
        }
        digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
        for part in self._pool.content():
            digest.update(part.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _step(self) -> float:
        schedule, meta = self._schedule, self._meta
        order = torch.randperm(len(self._names), generator=self._generator)[: schedule.tasks]
        names = [self._names[place] for place in order.tolist()]
        support, query = self._pool.draw(names, schedule.queries, self._generator)
        weights, divergences = meta.adapted(
            support, self._noise(len(names)), schedule.steps, schedule.second_order
        )
        error = (meta.predict(weights, query) - query.scores).square().mean()
        loss = error + schedule.divergence * divergences.sum()
        gradients = torch.autograd.grad(loss, list(self._parameters.values()))
        for parameter, gradient in zip(self._parameters.values(), gradients, strict=True):
            parameter.grad = gradient
        self._adam.step()
        return float(error.detach())

    def _noise(self, tasks: int) -> Tensor | None:
        meta = self._meta
        if meta.inference is None:
            return None
        size = Modulation(meta.network).size
        noise = torch.randn(tasks, size, generator=self._generator)
        return noise.to(next(iter(meta.weights.values())).device)

    def _validate(self) -> None:
        if not self._validation:
            return
        from scipy.stats import spearmanr

        # The same samples at each validation, so that their luck is no part of the comparison.
        generator = torch.Generator().manual_seed(self._seed + 1)
        correlations = []
        for name in self._validation:
            support, query = self._pool.draw([name], 1000, generator)
            noise = None
            if self._meta.inference is not None:
                noise = torch.zeros(1, Modulation(self._meta.network).size)
                noise = noise.to(support.scores.device)
            weights, _ = self._meta.adapted(support, noise, self._schedule.steps, False)
            with torch.no_grad():
                scores = self._meta.predict(weights, query)
            rho = spearmanr(scores[0].cpu().numpy(), query.scores[0].cpu().numpy()).statistic
            correlations.append(float(rho) if np.isfinite(rho) else 0.0)
        self._correlation = float(np.mean(correlations))
        if self._best_correlation is None or self._correlation > self._best_correlation:
            self._best_correlation = self._correlation
            self._best = {k: v.detach().clone() for k, v in self._parameters.items()}

    def _save(self, path: Path) -> None:
        from safetensors.torch import save_file

        tensors = {f"now.{k}": v.detach() for k, v in self._parameters.items()}
        tensors |= {f"best.{k}": v for k, v in self._best.items()}
        for name, parameter in self._parameters.items():
            state = self._adam.state[parameter]
            for key in ("exp_avg", "exp_avg_sq", "step"):
                tensors[f"adam.{key}.{name}"] = state[key]
        tensors["generator"] = self._generator.get_state()
        state = {
            "request": self._request,
            "episode": self._episode,
            "correlation": self._correlation,
            "best_correlation": self._best_correlation,
        }
        with replacing(path) as temporary:
            save_file(
                {k: v.cpu().contiguous() for k, v in tensors.items()},
                temporary,
                metadata={"training": json.dumps(state)},
            )

    def _restore(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                state = json.loads((file.metadata() or {}).get("training", "null"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            raise PredictError(f"{path} is no checkpoint of a training: {error}") from error
        if not isinstance(state, dict) or state.get("request") != self._request:
            raise PredictError(
                f"{path} is a checkpoint of another training (other sources, options or seed); "
                "name another file"
            )
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(tensors[f"now.{name}"])
                self._adam.state[parameter] = {
                    key: tensors[f"adam.{key}.{name}"].to(
                        "cpu" if key == "step" else parameter.device
                    )
                    for key in ("exp_avg", "exp_avg_sq", "step")
                }
        self._best = {
            name: tensors[f"best.{name}"].to(parameter.device)
            for name, parameter in self._parameters.items()
            if f"best.{name}" in tensors
        }
        self._generator.set_state(tensors["generator"])
        self._episode = state["episode"]
        self._correlation = state["correlation"]
        self._best_correlation = state["best_correlation"]
