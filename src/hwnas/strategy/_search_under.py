"""Evolution under a latency limit with models of accuracy and latency in place of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.strategy._evolution import tournament
from hwnas.strategy._pick import CONFIDENCE, FINALISTS, Measure, Picks, pick_under

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.predict import DevicePredictor
    from hwnas.space import Arch, SearchSpace
    from hwnas.strategy._candidates import Candidates

Score = Callable[[Sequence["Arch"]], "Sequence[float] | NDArray[np.float64]"]
"""Scores of n archs, higher is better."""


def search_under(
    candidates: Candidates,
    score: Score,
    predictor: DevicePredictor,
    limit: float,
    *,
    confidence: float = CONFIDENCE,
    measure: Measure | None = None,
    finalists: int = FINALISTS,
    population: int = 100,
    children: int = 50,
    generations: int = 200,
    seed: int = 0,
) -> Picks:
    """The best arch of a space under a latency limit, where a model tells each arch's accuracy.

    Aging evolution, as `RegularizedEvolution` has it, in generations of `children`, so that both
    models are asked about many archs at once; a child has one or several mutations. An arch that is
    predicted to break the limit loses against one that keeps it, and of two that break it the
    smaller violation wins: by mean + z std, or by the mean where finalists will be measured.
    `pick_under` then picks among all that were seen, and takes `confidence`, `measure` and
    `finalists`. A space of fewer archs than an evolution would see is passed through whole.

    Args:
        candidates: the space; its other limits are kept.
        score: the scores of archs.
        predictor: of the device.
        limit: in ms.
        population: the youngest archs that may be parents; a quarter of them enter a tournament.
        children: archs of a generation.
        generations: how many.
        seed: of all chance.

    Raises:
        PredictError: as `pick_under` does.
        CostError: no arch keeps the limits of `candidates`.
    """
    options: dict[str, Any] = {"measure": measure, "finalists": finalists}
    options["confidence"] = confidence
    listed = candidates.enumerable()
    if listed is not None and len(listed) <= population + children * generations:
        archs = [arch for arch in listed if candidates.holds(arch)]
        if archs:
            return pick_under(archs, np.asarray(score(archs)), predictor, limit, **options)
    rng = np.random.default_rng(seed)
    # What will be measured may as well lie at the limit: a safe finalist is seen on the way there.
    z = NormalDist().inv_cdf(confidence) if measure is None else 0.0
    space = candidates.space
    seen: dict[bytes, tuple[Arch, float]] = {}
    alive: list[tuple[Arch, tuple[float, float]]] = []
    born = [candidates.sample(rng) for _ in range(population)]
    for _ in range(generations + 1):
        latency = predictor.predict(born)
        values = np.asarray(score(born), np.float64)
        violations = np.maximum(latency.mean + z * latency.std - limit, 0.0)
        for arch, name, value in zip(born, _names(space, born), values, strict=True):
            seen[name] = arch, float(value)
        alive += zip(born, zip(-violations, values, strict=True), strict=True)
        alive = alive[-population:]
        fitness = [member[1] for member in alive]
        size = max(1, len(alive) // 4)
        parents = [alive[tournament(fitness, size, rng)][0] for _ in range(children)]
        # Near the limit, what is gained in one place must be given up in another, which takes more
        # than one mutation; so half of the children have several.
        born = []
        for arch in parents:
            for _ in range(rng.geometric(0.5)):
                arch = candidates.mutate(arch, rng)
            born.append(arch)
    archs = [arch for arch, _ in seen.values()]
    values = np.array([value for _, value in seen.values()])
    return pick_under(archs, values, predictor, limit, **options)


def _names(space: SearchSpace, archs: Sequence[Arch]) -> list[bytes]:
    return [row.tobytes() for row in space.encode(archs)]
