"""One decision changed without leaving a feasible set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._tables.domain import Domain
from hwnas.errors import CostError
from hwnas.space import Arch, Value

if TYPE_CHECKING:
    from hwnas.cost._feasible.feasible_set import FeasibleSet

_COMPLETIONS = 20_000
"""Completions of a change that are all tried."""
_DRAWN = 1000
"""Of more, this many are drawn."""


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
            codes, weights = _completions(feasible.domain, changed, rng)
            weights = weights * feasible.keeps(feasible.encoded(codes))
            if weights.any():
                row = int(rng.choice(len(codes), p=weights / weights.sum()))
                return feasible.domain.arch(codes[row].tolist())
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
        codes, _ = _completions(feasible.domain, changed, np.random.default_rng(0))
        good = np.flatnonzero(feasible.keeps(feasible.encoded(codes)))
        if len(good):
            found.append(feasible.domain.arch(codes[good[0]].tolist()))
    return found


def _completions(
    domain: Domain, known: Mapping[str, Value], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The places of archs with the values of `known` where they are taken, in the order of the
    choices, and their weights.
    """
    codes, weights = np.zeros((1, len(domain.sizes)), np.int64), np.ones(1)
    for axis in range(len(domain.sizes)):
        allowed = _allowed(domain, axis, codes, known)
        rows, places = np.nonzero(allowed)
        if len(rows) > _COMPLETIONS:
            return _drawn(domain, known, rng), np.ones(_DRAWN)
        weights = weights[rows] / allowed.sum(1)[rows]
        codes = codes[rows]
        codes[:, axis] = places
    return codes, weights


def _drawn(
    domain: Domain, known: Mapping[str, Value], rng: np.random.Generator
) -> NDArray[np.int64]:
    codes = np.zeros((_DRAWN, len(domain.sizes)), np.int64)
    for axis in range(len(domain.sizes)):
        allowed = _allowed(domain, axis, codes, known)
        codes[:, axis] = ((1 - rng.random(allowed.shape)) * allowed).argmax(1)
    return codes


def _allowed(
    domain: Domain, axis: int, codes: NDArray[np.int64], known: Mapping[str, Value]
) -> NDArray[np.bool_]:
    """The places that a decision can take after those before it: (rows, places)."""
    rule, decision = domain.rule(axis), domain.decisions[axis]
    others = tuple(codes[:, other] for other in rule.axes if other != axis)
    places = np.moveaxis(rule.mask, rule.axes.index(axis), -1)[others]
    allowed = np.array(np.broadcast_to(places, (len(codes), domain.sizes[axis])))
    if decision.label in known:
        chosen = np.arange(domain.choices[axis]) == decision.index(known[decision.label])
        allowed[:, : domain.choices[axis]] &= chosen
    return allowed
