"""The Optuna samplers that propose archs."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from hwnas.strategy._base import Strategy
from hwnas.strategy._candidates import Candidates
from hwnas.strategy._distributions import distribution

if TYPE_CHECKING:
    from hwnas.space import Arch, SearchSpace

_TRIES = 20


def arch_key(arch: Mapping[str, Any]) -> str:
    """One string for one arch, whatever the order of its labels."""
    return json.dumps(arch, sort_keys=True)


class ArchSampler(optuna.samplers.BaseSampler):
    """Says which arch a trial is to have, which `hwnas.strategy.suggest(trial, space)` then reads.

    Args:
        space: what the archs belong to.
        seed: of parameters that are no decision of the space.
    """

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        self._seed = seed
        self._distributions = {d.label: distribution(d) for d in space.decisions}

    @abstractmethod
    def exhausted(self, study: optuna.Study) -> bool:
        """Whether there is no arch left to propose."""

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All decisions of the space."""
        return self._distributions

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


class SpaceSampler(ArchSampler):
    """Draws archs by a strategy: only candidates, and never the same arch twice while others are
    left. What the strategy proposes beyond that is asked for again, `strategy.tries` times.

    It can be given to any Optuna study. Chance is a function of `seed`, the trial's number and what
    the study holds, nothing else.

    Args:
        candidates: what may be proposed: a space, or `Candidates` of one.
        strategy: what proposes.
        seed: zero or more.
    """

    def __init__(
        self, candidates: Candidates | SearchSpace, strategy: Strategy, seed: int = 0
    ) -> None:
        if not isinstance(candidates, Candidates):
            candidates = Candidates(candidates)
        super().__init__(candidates.space, seed)
        self._candidates = candidates
        self._strategy = strategy
        self._first_left = 0

    def exhausted(self, study: optuna.Study) -> bool:
        """Whether the study holds every candidate; False where they are too many to list."""
        count = self._candidates.count
        if count is not None and len(study.get_trials(deepcopy=False)) < count.lower:
            return False
        if self._listed is None:
            return False
        seen = _keys(study)
        # The list is passed through once: what a study holds, it keeps.
        while self._first_left < len(self._listed):
            arch = self._listed[self._first_left]
            if arch_key(arch) not in seen and self._candidates.holds(arch):
                return False
            self._first_left += 1
        return True

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """A candidate, new to the study if one is left."""
        rng = np.random.default_rng([self._seed, trial.number])
        seen = _keys(study, but=trial.number)
        for _ in range(self._strategy.tries):
            arch = self._strategy.propose(study, trial, self._candidates, rng)
            if arch_key(arch) not in seen and self._candidates.holds(arch):
                return arch
        return self._unseen(seen, rng)

    def _unseen(self, seen: set[str], rng: np.random.Generator) -> Arch:
        """A random candidate that is not in `seen`: certain to be found where they are few."""
        for _ in range(_TRIES):
            arch = self._candidates.sample(rng)
            if arch_key(arch) not in seen:
                return arch
        if self._listed is not None:
            for place in rng.permutation(len(self._listed)):
                other = self._listed[int(place)]
                if arch_key(other) not in seen and self._candidates.holds(other):
                    return other
        return arch

    @cached_property
    def _listed(self) -> list[Arch] | None:
        return self._candidates.enumerable()


def _keys(study: optuna.Study, but: int = -1) -> set[str]:
    """The archs that a study holds; trials that died before they had all of one match nothing."""
    return {arch_key(t.params) for t in study.get_trials(deepcopy=False) if t.number != but}
