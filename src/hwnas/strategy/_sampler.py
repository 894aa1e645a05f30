"""The Optuna sampler that every strategy runs in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from hwnas.strategy._base import Strategy
from hwnas.strategy._distributions import distribution

if TYPE_CHECKING:
    from hwnas.space import Arch, SearchSpace

_TRIES = 20
_ENUMERABLE = 10_000


def arch_key(arch: Mapping[str, Any]) -> str:
    """One string for one arch, whatever the order of its labels."""
    return json.dumps(arch, sort_keys=True)


class SpaceSampler(optuna.samplers.BaseSampler):
    """Draws archs by a strategy, and never the same arch twice while others are left.

    It can be given to any Optuna study; `hwnas.strategy.suggest(trial, space)` then reads the arch.
    Chance is a function of `seed`, the trial's number and what the study holds, nothing else.
    """

    def __init__(self, space: SearchSpace, strategy: Strategy, seed: int) -> None:
        self._space = space
        self._strategy = strategy
        self._seed = seed
        self._distributions = {d.label: distribution(d) for d in space.decisions}
        self._size = space.size()

    def exhausted(self, study: optuna.Study) -> bool:
        """Whether the study holds every arch of the space."""
        trials = study.get_trials(deepcopy=False)
        return len(trials) >= self._size == len({arch_key(t.params) for t in trials if t.params})

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All decisions of the space."""
        return self._distributions

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """A canonical arch, new to the study if the space has one left."""
        rng = np.random.default_rng([self._seed, trial.number])
        others = study.get_trials(deepcopy=False)
        seen = {arch_key(t.params) for t in others if t.number != trial.number}
        for _ in range(self._strategy.tries):
            arch = self._strategy.propose(study, trial, self._space, rng)
            if arch_key(arch) not in seen:
                return arch
        return self._unseen(seen, rng) or arch

    def _unseen(self, seen: set[str], rng: np.random.Generator) -> Arch | None:
        """A random arch that is not in `seen`: certain to be found where the space is small."""
        if self._size > _ENUMERABLE:
            for _ in range(_TRIES):
                arch = self._space.sample(rng)
                if arch_key(arch) not in seen:
                    return arch
            return None
        left = [arch for arch in self._space.enumerate() if arch_key(arch) not in seen]
        return left[rng.integers(len(left))] if left else None

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Parameters that are no decision of the space: uniform."""
        seed = int(np.random.default_rng([self._seed, trial.number, 1]).integers(2**31))
        return optuna.samplers.RandomSampler(seed=seed).sample_independent(
            study, trial, param_name, param_distribution
        )
