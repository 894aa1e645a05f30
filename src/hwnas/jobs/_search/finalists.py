"""Choosing the winner: the best trials are measured again, with nothing else running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas._estimate import Estimate
from hwnas.jobs._folder.spec import Finalist
from hwnas.jobs._measuring.meter import measure_again, references, trial_model
from hwnas.jobs._records.view import view_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.budget import Budget, Reward
    from hwnas.jobs._folder.job import Job
    from hwnas.jobs._folder.spec import DeviceSpec
    from hwnas.jobs._records.records import TrialRecord
    from hwnas.jobs._search.observer import Observer
    from hwnas.space import SearchSpace

_BATCH = 3
_MOST = 12


def choose_winner(
    job: Job,
    space: SearchSpace,
    budget: Budget,
    reward: Reward,
    keys: Mapping[str, DeviceSpec],
    observer: Observer,
) -> None:
    """Measure the best trials again until one keeps the budget; write ``finalists.json``.

    A measurement inside a search is short, and other trials train beside it. Here each finalist is
    measured in three fresh processes, and the budget must hold at the constraint's quantile of what
    they give together. Three trials are measured at a time, best first, feasible ones before
    others, until one of them keeps the budget and none that is left could have a better reward;
    all of them where they are those that a search has chosen.
    """
    view = view_of(job)
    every = job.spec.parent is not None
    finalists = job.read("finalists.json", dict[str, Finalist]) or {}
    candidates = sorted(
        (t for t in view.complete if str(t.number) not in finalists),
        key=lambda t: (not t.feasible, -(t.reward or 0.0)),
    )
    best = max(
        (t.reward or 0.0 for t in view.complete if t.feasible and str(t.number) in finalists),
        default=None,
    )
    for start in range(0, len(candidates) if every else min(_MOST, len(candidates)), _BATCH):
        batch = candidates[start : start + _BATCH]
        better = any(t.feasible and (best is None or (t.reward or 0.0) > best) for t in batch)
        if best is not None and not better and not every:
            return
        names = ", ".join(str(t.number) for t in batch)
        observer.phase(f"measuring the finalists again: trial{'s' * (len(batch) > 1)} {names}")
        for trial, costs in zip(batch, _measure(job, space, batch, keys), strict=True):
            known = {
                **{name: Estimate(v) for name, v in trial.metrics.items()},
                **trial.costs,
                **costs,
            }
            where = f"trial {trial.number}"
            violations = budget.violations(known, where=where)
            value = reward(trial.metrics[job.spec.metric], known, budget, where=where)
            finalists[str(trial.number)] = Finalist(
                costs={name: (cost.value, cost.std) for name, cost in costs.items()},
                violations=violations,
                reward=value,
            )
            if all(v <= 0 for v in violations.values()):
                best = value if best is None else max(best, value)
        found = {number: one.model_dump() for number, one in finalists.items()}
        job.write("finalists.json", found)


def _measure(
    job: Job, space: SearchSpace, batch: list[TrialRecord], keys: Mapping[str, DeviceSpec]
) -> list[dict[str, Estimate]]:
    models = {
        spec.name: [trial_model(job, space, t.number, dict(t.arch), spec) for t in batch]
        for spec in keys.values()
    }
    shape = job.spec.input_shape or ()
    return measure_again(models, shape, keys, references(job), job.store)
