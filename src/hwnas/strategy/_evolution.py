"""Regularized evolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hwnas.strategy._base import Strategy

if TYPE_CHECKING:
    import optuna

    from hwnas.space import Arch
    from hwnas.strategy._candidates import Candidates


class RegularizedEvolution(Strategy):
    """Aging evolution (Real et al. 2019, "Regularized Evolution for Image Classifier Architecture
    Search", algorithm 1), with one mutated decision per child. Random archs and children keep the
    search's limits on computed costs.

    The population is the `population_size` youngest finished trials. The parent is the best of
    `sample_size` drawn from it: a trial that keeps its constraints beats one that does not, of two
    that keep them the better value wins, of two that do not the smaller violation (Deb 2000).
    The first `random_trials` archs are random; the paper waits until the population is full, which
    a search of a few dozen trials cannot afford.
    """

    def __init__(
        self, population_size: int = 20, sample_size: int = 5, random_trials: int = 8
    ) -> None:
        self.population_size = population_size
        self.sample_size = sample_size
        self.random_trials = max(random_trials, sample_size)

    def propose(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        candidates: Candidates,
        rng: np.random.Generator,
    ) -> Arch:
        """See `Strategy.propose`."""
        from optuna.study import StudyDirection
        from optuna.trial import TrialState

        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        population = done[-self.population_size :]
        if len(done) < self.random_trials:
            return candidates.sample(rng)
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        fitness = [
            (-sum(v for v in t.constraints.values() if v > 0), sign * (t.value or 0.0))
            for t in population
        ]
        parent = population[tournament(fitness, self.sample_size, rng)]
        return candidates.mutate(candidates.space.canonical(parent.params), rng)


def tournament(fitness: Sequence[tuple[float, float]], size: int, rng: np.random.Generator) -> int:
    """The place of the fittest of `size` drawn members of a population.

    Fitness is (-violation, value): see `RegularizedEvolution`.
    """
    entrants = rng.choice(len(fitness), size=size, replace=False)
    return int(max(entrants, key=lambda place: fitness[place]))
