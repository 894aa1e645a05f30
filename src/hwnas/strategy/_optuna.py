"""Optuna's own samplers as strategies."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from hwnas.strategy._base import Strategy
from hwnas.strategy._distributions import distribution

if TYPE_CHECKING:
    import optuna

    from hwnas.space import Arch, Decision, Value
    from hwnas.strategy._candidates import Candidates


class _OptunaStrategy(Strategy):
    """Draws an arch from an Optuna sampler: jointly where it can, else decision by decision."""

    @abstractmethod
    def make(self, seed: int) -> optuna.samplers.BaseSampler:
        """A sampler for one trial."""

    def propose(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        candidates: Candidates,
        rng: np.random.Generator,
    ) -> Arch:
        """See `Strategy.propose`."""
        sampler = self.make(int(rng.integers(2**31)))
        sampler.before_trial(study, trial)
        joint = sampler.infer_relative_search_space(study, trial)
        drawn = sampler.sample_relative(study, trial, joint) if joint else {}

        def choose(decision: Decision) -> Value:
            if decision.label in drawn:
                return drawn[decision.label]  # type: ignore[no-any-return]
            kind = distribution(decision)
            if kind.single():
                return decision.choices[0]
            return sampler.sample_independent(study, trial, decision.label, kind)  # type: ignore[no-any-return]

        return candidates.space.walk(choose)


class Tpe(_OptunaStrategy):
    """Tree-structured Parzen estimator, multivariate, with constraints (Watanabe 2023)."""

    multi_objective = True

    def make(self, seed: int) -> optuna.samplers.BaseSampler:
        """See the base class."""
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed)


class Nsga2(_OptunaStrategy):
    """NSGA-II (Deb et al. 2002), constraints by Deb's rules."""

    multi_objective = True

    def __init__(self, population_size: int = 20) -> None:
        self.population_size = population_size

    def make(self, seed: int) -> optuna.samplers.BaseSampler:
        """See the base class."""
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(population_size=self.population_size, seed=seed)


class Gp(_OptunaStrategy):
    """Gaussian-process Bayesian optimisation with constraints, Optuna's `GPSampler`."""

    multi_objective = True
    tries = 2  # a proposal fits a process, which takes a good part of a second

    def make(self, seed: int) -> optuna.samplers.BaseSampler:
        """See the base class."""
        from optuna.exceptions import ExperimentalWarning
        from optuna.samplers import GPSampler

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return GPSampler(seed=seed)
