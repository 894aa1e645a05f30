"""Random search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.strategy._base import Strategy

if TYPE_CHECKING:
    import optuna

    from hwnas.space import Arch, SearchSpace


class Random(Strategy):
    """Each decision uniform among its choices (the distribution `decisions`)."""

    multi_objective = True

    def propose(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        space: SearchSpace,
        rng: np.random.Generator,
    ) -> Arch:
        """See `Strategy.propose`."""
        return space.sample(rng)
