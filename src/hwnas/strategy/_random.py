"""Random search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.strategy._base import Strategy

if TYPE_CHECKING:
    import optuna

    from hwnas.space import Arch
    from hwnas.strategy._candidates import Candidates


class Random(Strategy):
    """Each decision uniform among its choices, given the limits (the distribution `decisions`)."""

    multi_objective = True

    def propose(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        candidates: Candidates,
        rng: np.random.Generator,
    ) -> Arch:
        """See `Strategy.propose`."""
        return candidates.sample(rng)
