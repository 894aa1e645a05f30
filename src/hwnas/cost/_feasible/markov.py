"""Draws from a feasible set by a Markov chain, where no dynamic program is small enough."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import CostError

if TYPE_CHECKING:
    from hwnas.cost._feasible.feasible_set import FeasibleSet
    from hwnas.space import Arch

_BURN_IN = 30
_BETWEEN = 5
_DESCENT = 3000


def walk(
    feasible: FeasibleSet, n: int, rng: np.random.Generator, distribution: str
) -> NDArray[np.float64]:
    """`n` archs of one chain, in encoded form (Metropolis and Hastings, Biometrika 1970).

    A step proposes `space.mutate`; the chain rests where a proposal leaves the set. Between two
    archs kept lie as many steps as five times the number of decisions.
    """
    space = feasible.space
    arch = _start(feasible, rng)
    sweep = len(space.decisions)
    kept = []
    for step in range((_BURN_IN + _BETWEEN * n) * sweep):
        child = space.mutate(arch, rng)
        if math.log(1 - rng.random()) < _ratio(feasible, arch, child, distribution) and (
            feasible.holds(child)
        ):
            arch = child
        done = step + 1 - _BURN_IN * sweep
        if done > 0 and done % (_BETWEEN * sweep) == 0:
            kept.append(arch)
    return space.encode(kept)


def _ratio(feasible: FeasibleSet, arch: Arch, child: Arch, distribution: str) -> float:
    """The logarithm of the acceptance ratio.

    Proposals draw newly taken decisions uniformly, as `decisions` does, so that there only the
    number of decisions that could have been mutated differs.
    """
    decision = feasible.space.decision
    choices = {label: len(decision(label).choices) for label in {**arch, **child}}
    before = sum(choices[label] > 1 for label in arch)
    after = sum(choices[label] > 1 for label in child)
    ratio = math.log(before / after)
    if distribution == "archs":
        ratio += sum(math.log(choices[label]) for label in child if label not in arch)
        ratio -= sum(math.log(choices[label]) for label in arch if label not in child)
    return ratio


def _start(feasible: FeasibleSet, rng: np.random.Generator) -> Arch:
    """An arch of the set: the best one for one of the limits, else found by descent."""
    space = feasible.space
    for limit in feasible.limits:
        arch = feasible.best_for(limit)
        if arch is not None and feasible.holds(arch):
            return arch
        if arch is not None and len(feasible.limits) == 1:
            raise CostError(f"no arch keeps {feasible}")
    arch = space.sample(rng)
    worst = _violation(feasible, arch)
    for _ in range(_DESCENT):
        if worst == 0:
            return arch
        child = space.mutate(arch, rng)
        value = _violation(feasible, child)
        if value <= worst:
            arch, worst = child, value
    raise CostError(f"no arch that keeps {feasible} was found")


def _violation(feasible: FeasibleSet, arch: Arch) -> float:
    return float(feasible.violation(feasible.space.encode([arch]))[0])
