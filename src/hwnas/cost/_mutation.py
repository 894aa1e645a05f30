"""One decision changed without leaving a feasible set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import CostError
from hwnas.space import Arch, Decision, SearchSpace, Value

if TYPE_CHECKING:
    from hwnas.cost._feasible import FeasibleSet

_COMPLETIONS = 20_000
"""Completions of a change that are all tried; of more, this many are drawn."""


def mutated(feasible: FeasibleSet, arch: Mapping[str, Value], rng: np.random.Generator) -> Arch:
    """See `FeasibleSet.mutate`."""
    space = feasible.space
    space.validate(arch)
    open_ = [d for d in space.decisions if d.label in arch and len(d.choices) > 1]
    for place in rng.permutation(len(open_)).tolist():
        decision = open_[place]
        others = [value for value in decision.choices if value != arch[decision.label]]
        for other in rng.permutation(len(others)).tolist():
            changed = {**arch, decision.label: others[other]}
            archs, weights = _completions(space, changed, rng)
            weights = weights * feasible.keeps(space.encode(archs))
            if weights.any():
                return archs[int(rng.choice(len(archs), p=weights / weights.sum()))]
    raise CostError("no arch one decision away keeps the limits")


def neighbours(feasible: FeasibleSet, arch: Mapping[str, Value]) -> list[Arch]:
    """See `FeasibleSet.neighbours`."""
    space = feasible.space
    found = []
    simple = space.neighbours(arch)
    inside = feasible.keeps(space.encode(simple)).tolist()
    for candidate, keeps in zip(simple, inside, strict=True):
        if keeps:
            found.append(candidate)
            continue
        if candidate.keys() <= arch.keys():
            continue  # Nothing else can be chosen.
        label = next(n for n in candidate if n in arch and candidate[n] != arch[n])
        changed = {**arch, label: candidate[label]}
        archs, _ = _completions(space, changed, np.random.default_rng(0))
        good = np.flatnonzero(feasible.keeps(space.encode(archs)))
        if len(good):
            found.append(archs[int(good[0])])
    return found


def _completions(
    space: SearchSpace, known: Mapping[str, Value], rng: np.random.Generator
) -> tuple[list[Arch], NDArray[np.float64]]:
    """Archs with the values of `known` where they are taken, and their weights."""
    archs: list[Arch] = []
    for arch in _filled(space.decisions, 0, {}, known):
        archs.append(arch)
        if len(archs) > _COMPLETIONS:
            break
    if len(archs) <= _COMPLETIONS:
        weights = [
            float(np.prod([1 / len(space.decision(n).choices) for n in a if n not in known]))
            for a in archs
        ]
        return archs, np.array(weights)

    def choose(decision: Decision) -> Value:
        if decision.label in known:
            return known[decision.label]
        return decision.choices[int(rng.integers(len(decision.choices)))]

    return [space.walk(choose) for _ in range(_COMPLETIONS // 20)], np.ones(_COMPLETIONS // 20)


def _filled(
    decisions: tuple[Decision, ...], place: int, arch: Arch, known: Mapping[str, Value]
) -> Iterator[Arch]:
    while place < len(decisions):
        decision = decisions[place]
        if not decision.is_active(arch):
            place += 1
            continue
        if decision.label in known:
            arch = {**arch, decision.label: known[decision.label]}
            place += 1
            continue
        for value in decision.choices:
            yield from _filled(decisions, place + 1, {**arch, decision.label: value}, known)
        return
    yield arch
