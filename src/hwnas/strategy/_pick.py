"""The best of some candidates under a latency limit, by a predictor and a few measurements."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from hwnas._estimate import Estimate
from hwnas.errors import PredictError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.predict import DevicePredictor
    from hwnas.space import Arch, Value

CONFIDENCE = 0.95
FINALISTS = 5

Measure = Callable[["Arch"], float]
"""Measures the latency (ms) of an arch."""


@dataclass(frozen=True)
class Pick:
    """A candidate held against a limit.

    Attributes:
        index: its place among the candidates.
        score: as given, higher is better.
        predicted: latency in ms.
        measured: latency in ms; None where it was not measured.
        latency: what it is judged by (ms): the measured one, else the upper bound of the predicted
            one at the search's confidence.
        limit: in ms.
    """

    index: int
    arch: Arch
    score: float
    predicted: Estimate
    measured: float | None
    latency: float
    limit: float

    @property
    def margin(self) -> float:
        """The share of the limit that is left; negative where it is broken."""
        return (self.limit - self.latency) / self.limit

    @property
    def keeps(self) -> bool:
        """Whether it keeps the limit."""
        return self.latency <= self.limit


@dataclass(frozen=True)
class Picks:
    """What a search under a limit found.

    Attributes:
        best: the pick. It breaks the limit only if nothing was found that keeps it; it is then the
            one that does so least.
        measured: the candidates that were measured, in that order.
        promised: how many distinct candidates keep the limit by their predicted upper bound.
    """

    best: Pick
    measured: tuple[Pick, ...]
    promised: int

    @property
    def feasible(self) -> bool:
        """Whether the pick keeps the limit."""
        return self.best.keeps

    @property
    def violations(self) -> tuple[Pick, ...]:
        """The measured candidates that break the limit."""
        return tuple(pick for pick in self.measured if not pick.keeps)


def pick_under(
    candidates: Sequence[Arch],
    scores: Sequence[float] | NDArray[np.float64],
    predictor: DevicePredictor,
    limit: float,
    *,
    confidence: float = CONFIDENCE,
    measure: Measure | None = None,
    finalists: int = FINALISTS,
) -> Picks:
    """The candidate of the highest score that keeps a latency limit on a device.

    A candidate is *promised* if its predicted latency keeps the limit with the asked confidence:
    mean + z std <= limit. Without `measure` the best promised candidate is the pick.

    With `measure` the pick has been measured, and keeps the limit by that:

    1. The best promised candidate is measured. If it breaks the limit so is the best of those that
       are predicted faster than it, and so on; where nothing is promised, those that are predicted
       fastest.
    2. What is left of the `finalists` measurements goes to candidates that would be better than
       the pick, the largest expected gain first: the gain in score times the probability to keep
       the limit (Gardner et al., ICML 2014, section 3.2, with scores that are known). None is
       spent on what keeps it with a probability below 1 - confidence.

    If none of the finalists keeps the limit, step 1 goes on while there are candidates that are
    predicted faster than all that failed.

    Args:
        candidates: archs of one space, in canonical form; equal ones are measured once.
        scores: of each candidate, higher is better: measured or predicted accuracies.
        predictor: of the device.
        limit: in ms.
        confidence: between 0.5 (the mean has to keep the limit) and 1.
        measure: the latency of an arch on the device (ms); it is called once per arch.
        finalists: how many to measure.

    Raises:
        PredictError: there is no candidate, the numbers of candidates and scores differ, a score
            or a measured latency is not finite, or an option is outside its range.
    """
    scores = np.asarray(scores, np.float64)
    _check(candidates, scores, limit, confidence, finalists)
    predicted = predictor.predict(candidates)
    z = NormalDist().inv_cdf(confidence)
    table = _Table(candidates, scores, predicted.mean, predicted.std, limit, z)
    if measure is None:
        return Picks(table.pick(table.safest(math.inf)), (), table.promised())
    taken: list[Pick] = []
    best: Pick | None = None
    ceiling = math.inf  # Nothing that is predicted slower than what failed is tried again.
    while True:
        if best is None:
            place = table.safest(ceiling)
            ended = len(taken) >= finalists and table.bound[place] >= ceiling
        else:
            place = table.boldest(best.score, 1 - confidence)
            ended = len(taken) >= finalists
        if ended or place < 0:
            break
        pick = table.pick(place, _measured(measure, candidates[place]))
        table.close(place)
        taken.append(pick)
        if pick.keeps:
            best = pick if best is None or pick.score > best.score else best
        elif best is None:
            ceiling = min(ceiling, float(table.bound[place]))
        if not table.open.any():
            break
    best = best or min(taken, key=lambda pick: (pick.latency, -pick.score))
    return Picks(best, tuple(taken), table.promised())


class _Table:
    """The candidates as columns; `open` are the distinct ones that were not measured yet."""

    def __init__(
        self,
        candidates: Sequence[Arch],
        scores: NDArray[np.float64],
        mean: NDArray[np.float64],
        std: NDArray[np.float64],
        limit: float,
        z: float,
    ) -> None:
        self.candidates = candidates
        self.scores, self.mean, self.std = scores, mean, std
        self.limit = limit
        self.bound = mean + z * std
        self.names = [_name(arch) for arch in candidates]
        best: dict[str, int] = {}
        for place, name in enumerate(self.names):
            if name not in best or scores[place] > scores[best[name]]:
                best[name] = place
        self.open = np.zeros(len(candidates), np.bool_)
        self.open[list(best.values())] = True
        self.distinct = self.open.copy()

    def promised(self) -> int:
        return int((self.distinct & (self.bound <= self.limit)).sum())

    def safest(self, ceiling: float) -> int:
        """The best open candidate that is promised and predicted faster than `ceiling`; where
        there is none, the one that is predicted fastest."""
        inside = self.open & (self.bound <= self.limit) & (self.bound < ceiling)
        if inside.any():
            return _first(inside, -self.scores, self.bound)
        return _first(self.open, self.bound, -self.scores)

    def boldest(self, score: float, least: float) -> int:
        """The open candidate of the largest expected gain over `score`; -1 if none is worth it."""
        better = np.flatnonzero(self.open & (self.scores > score))
        chance = np.array([self._chance(int(place)) for place in better])
        if not (chance >= least).any():
            return -1
        gain = np.zeros_like(self.scores)
        gain[better] = np.where(chance >= least, chance * (self.scores[better] - score), 0.0)
        return _first(gain > 0, -gain, self.bound)

    def _chance(self, place: int) -> float:
        """The probability to keep the limit."""
        mean, std = float(self.mean[place]), float(self.std[place])
        return NormalDist(mean, std).cdf(self.limit) if std > 0 else float(mean <= self.limit)

    def pick(self, place: int, measured: float | None = None) -> Pick:
        return Pick(
            index=place,
            arch=dict(self.candidates[place]),
            score=float(self.scores[place]),
            predicted=Estimate(float(self.mean[place]), float(self.std[place])),
            measured=measured,
            latency=float(self.bound[place]) if measured is None else measured,
            limit=self.limit,
        )

    def close(self, place: int) -> None:
        self.open[place] = False


def _first(among: NDArray[np.bool_], key: NDArray[np.float64], second: NDArray[np.float64]) -> int:
    """The place of the smallest key, of equal ones that of the smallest second key."""
    places = np.flatnonzero(among)
    return int(places[np.lexsort([second[places], key[places]])[0]])


def _name(arch: Mapping[str, Value]) -> str:
    return json.dumps(arch, sort_keys=True)


def _measured(measure: Measure, arch: Arch) -> float:
    latency = float(measure(dict(arch)))
    if not (math.isfinite(latency) and latency > 0):
        raise PredictError(f"the measured latency of {_name(arch)} is {latency}, not positive")
    return latency


def _check(
    candidates: Sequence[Arch],
    scores: NDArray[np.float64],
    limit: float,
    confidence: float,
    finalists: int,
) -> None:
    if not candidates:
        raise PredictError("there is no candidate to pick from")
    if scores.shape != (len(candidates),):
        raise PredictError(f"there are {len(candidates)} candidates and {scores.size} scores")
    wrong = np.flatnonzero(~np.isfinite(scores))
    if wrong.size:
        raise PredictError(f"the score of candidate {wrong[0] + 1} is {scores[wrong[0]]}")
    for name, value, good, wanted in (
        ("limit", limit, math.isfinite(limit) and limit > 0, "a positive number of ms"),
        ("confidence", confidence, 0.5 <= confidence < 1, "at least 0.5 and below 1"),
        ("finalists", finalists, finalists >= 1, "at least 1"),
    ):
        if not good:
            raise PredictError(f"{name} is {value}; it must be {wanted}")
