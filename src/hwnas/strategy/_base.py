"""The contract of a search strategy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    import optuna

    from hwnas.space import Arch
    from hwnas.strategy._candidates import Candidates


class Strategy(ABC):
    """Proposes the next arch from what a study knows.

    A strategy keeps no state of its own: whatever it needs it reads from the study (finished
    trials, their values and constraints), and all its chance comes from `rng`, which is seeded by
    the search's seed and the trial's number. A search that was killed and resumed therefore
    proposes what an unbroken one would have.

    `propose` returns a canonical arch of `candidates.space`. `candidates.sample` and
    `candidates.mutate` give such that keep the search's limits; a strategy that draws by other
    means may propose what does not, or an arch that was proposed before: `SpaceSampler` asks it
    again. It is called from one thread. It must not write to the study, save
    for system attributes of `trial` that a wrapped Optuna sampler sets.

    Others add strategies as entry points of the group `hwnas.strategies`: a class whose
    constructor needs no arguments.
    """

    multi_objective: ClassVar[bool] = False
    """Whether the strategy can serve a study with several objectives."""

    tries: ClassVar[int] = 20
    """How often it is asked for one trial before a random new candidate is taken instead."""

    @abstractmethod
    def propose(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        candidates: Candidates,
        rng: np.random.Generator,
    ) -> Arch:
        """The arch for `trial`, which is running and has no parameters yet."""
