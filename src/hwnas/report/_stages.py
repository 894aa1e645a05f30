"""Stage 1 against stage 2: what full training made of the trials that a search has chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hwnas.cost import METRICS

if TYPE_CHECKING:
    from hwnas.jobs import JobView, TrialRecord

ENOUGH = 3
"""Trials that a rank correlation takes: of two, either order is as likely as a coin's side."""


@dataclass(frozen=True)
class Correlation:
    """How well the ranks of trials in two stages agree, in one value.

    Attributes:
        name: of the value: a metric, a measured cost, or `reward`.
        n: trials that have it in both stages.
        spearman: Spearman's rank correlation (tied values share their mean rank).
        kendall: Kendall's tau-b. Both are None below three trials, and where a stage has the same
            value for all.
    """

    name: str
    n: int
    spearman: float | None
    kendall: float | None


@dataclass(frozen=True)
class Stages:
    """A train job against its search.

    Attributes:
        pairs: each chosen trial as the search had it, and as it was trained in full (None: not
            begun); best of stage 2 first.
        names: the values that stage 2 found anew.
        correlations: one for each name.
    """

    pairs: tuple[tuple[TrialRecord, TrialRecord | None], ...]
    names: tuple[str, ...]
    correlations: tuple[Correlation, ...]


def compare_stages(view: JobView) -> Stages | None:
    """The stages of a train job; None for a search."""
    if view.parent is None:
        return None
    trained = {trial.chosen: trial for trial in view.trials}
    ranks = {trial.number: rank for rank, trial in enumerate(view.complete)}
    pairs = [(before, trained.get(before.number)) for before in view.parent.trials]
    pairs.sort(
        key=lambda pair: ranks.get(pair[1].number, len(ranks)) if pair[1] else len(ranks) + 1
    )
    both = [(before, after) for before, after in pairs if after and after.state == "complete"]
    names = (view.metric, "reward", *_others(view))
    return Stages(tuple(pairs), names, tuple(_correlation(name, both) for name in names))


def both_stages(view: JobView) -> JobView:
    """A train job with the search's trials among its own: its columns suit both stages."""
    before = view.parent.trials if view.parent else ()
    return replace(view, trials=(*before, *view.trials))


def _others(view: JobView) -> list[str]:
    """What depends on training or is measured, and counts: in the budget or the objectives."""
    named = dict.fromkeys([*(c.key for c in view.budget), *(name for name, _ in view.objectives)])
    metrics = {name for trial in view.trials for name in trial.metrics}
    return [
        name
        for name in named
        if name not in (view.metric, "reward") and (name in metrics or _measured(name))
    ]


def _measured(name: str) -> bool:
    metric = METRICS.get(name.partition("@")[0])
    return metric is not None and metric.on_device


def _correlation(name: str, pairs: Sequence[tuple[TrialRecord, TrialRecord]]) -> Correlation:
    values = [(before.value(name), after.value(name)) for before, after in pairs]
    known = [(one, two) for one, two in values if one is not None and two is not None]
    firsts, seconds = [one for one, _ in known], [two for _, two in known]
    if len(known) < ENOUGH or len(set(firsts)) == 1 or len(set(seconds)) == 1:
        return Correlation(name, len(known), None, None)
    from scipy.stats import kendalltau, spearmanr

    return Correlation(
        name,
        len(known),
        float(spearmanr(firsts, seconds).statistic),
        float(kendalltau(firsts, seconds).statistic),
    )
