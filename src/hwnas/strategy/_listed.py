"""Archs that are given, in place of a search."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hwnas.strategy._sampler import ArchSampler, arch_key

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from hwnas.space import Arch, SearchSpace


class ListedSampler(ArchSampler):
    """Proposes the archs of a list, each once, in their order.

    Which of them are left the study alone tells, so one that goes on with a study proposes what an
    unbroken run would have; a longer list goes on where a shorter one ended.

    Args:
        space: what the archs belong to.
        archs: canonical; the same arch may be there twice.
        counted: which of the study's trials count; others take no arch's place.
    """

    def __init__(
        self,
        space: SearchSpace,
        archs: Sequence[Arch],
        counted: Callable[[Iterable[FrozenTrial]], Iterable[FrozenTrial]] = iter,
    ) -> None:
        super().__init__(space)
        self._archs = list(archs)
        self._counted = counted

    def exhausted(self, study: optuna.Study) -> bool:
        """Whether each arch of the list has a trial."""
        return self._next(study.get_trials(deepcopy=False)) is None

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """The first arch of the list that has no trial.

        Raises:
            IndexError: all have one.
        """
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        place = self._next(others)
        if place is None:
            raise IndexError(f"the {len(self._archs)} archs of the list have been proposed")
        return dict(self._archs[place])

    def _next(self, trials: Iterable[FrozenTrial]) -> int | None:
        taken = set(places(self._counted(trials), self._archs).values())
        return next((place for place in range(len(self._archs)) if place not in taken), None)


def places(trials: Iterable[FrozenTrial], archs: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Which place of a list each trial has its arch from, by the trial's number.

    Trials without an arch of the list, such as those that died before they had one, have none.
    """
    left: dict[str, list[int]] = defaultdict(list)
    for place in reversed(range(len(archs))):
        left[arch_key(archs[place])].append(place)
    ordered = sorted(trials, key=lambda trial: trial.number)
    return {t.number: left[key].pop() for t in ordered if left[key := arch_key(t.params)]}
