"""Decisions as Optuna distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

    from hwnas.space import Arch, Decision, SearchSpace


def distribution(decision: Decision) -> optuna.distributions.BaseDistribution:
    """An integer range where the choices are evenly spaced ascending integers, else categories.

    A range tells a sampler that 24 lies between 16 and 32.
    """
    from optuna.distributions import CategoricalDistribution, IntDistribution

    choices = decision.choices
    if len(choices) > 2 and all(type(c) is int for c in choices):
        step = int(choices[1]) - int(choices[0])
        if step > 0 and list(choices) == list(range(int(choices[0]), int(choices[-1]) + 1, step)):
            return IntDistribution(int(choices[0]), int(choices[-1]), step=step)
    return CategoricalDistribution(choices)


def suggest(trial: optuna.Trial, space: SearchSpace) -> Arch:
    """Let a trial's sampler choose an arch of `space`; the trial's parameters are the arch.

    Works with any Optuna sampler; only the decisions that are taken become parameters.
    """
    from optuna.distributions import IntDistribution

    def choose(decision: Decision) -> int | float | str | bool:
        kind = distribution(decision)
        if isinstance(kind, IntDistribution):
            return trial.suggest_int(decision.label, kind.low, kind.high, step=kind.step)
        value = trial.suggest_categorical(decision.label, decision.choices)
        assert value is not None
        return value

    return space.walk(choose)
