"""A job as strict JSON: for `--json`, and inside the report."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hwnas._estimate import Estimate
from hwnas.cost import flops_meaning
from hwnas.report._stages import compare_stages

if TYPE_CHECKING:
    from hwnas.budget import Budget
    from hwnas.jobs import JobView, ParentView, TrialRecord


def to_json(view: JobView) -> dict[str, Any]:
    """The job and its trials as JSON values.

    Costs are `{"value", "std"}` and limits are numbers in the metric's canonical unit (latency
    ms, energy mJ, power mW, bytes, counts, items/s); times are ISO 8601 and `elapsed` is in
    seconds. What is missing or not finite is null: the result passes
    `json.dumps(..., allow_nan=False)`.
    """
    return {
        "kind": "search" if view.parent is None else "train",
        "name": view.name,
        "job": view.where,
        "folder": str(view.folder),
        "created": str(view.created),
        "state": view.state,
        "active": view.active,
        "task": view.task,
        "space": {"name": view.space, "fingerprint": view.fingerprint, "size": view.size},
        "strategy": view.strategy,
        "flops": flops_meaning(view.counting),
        "seed": view.seed,
        "metric": view.metric,
        "objectives": [{"name": name, "direction": goal} for name, goal in view.objectives],
        "budget": _budget(view.budget),
        "versions": {str(name): str(version) for name, version in view.versions.items()},
        "trials_asked": view.trials_asked,
        "counts": {
            "complete": len(view.complete),
            "feasible": sum(bool(trial.feasible) for trial in view.complete),
            "failed": sum(trial.state == "failed" for trial in view.trials),
            "stale": sum(trial.state == "stale" for trial in view.trials),
            "running": sum(trial.state == "running" for trial in view.trials),
        },
        "warnings": list(view.warnings),
        "winner": view.winner,
        "nearest": view.nearest,
        "pareto": [trial.number for trial in view.pareto()],
        "trials": [trial_json(trial) for trial in view.trials],
        "parent": _parent(view.parent) if view.parent else None,
        "stages": stages_json(view),
        "train_jobs": [to_json(job) for job in view.train_jobs],
    }


def stages_json(view: JobView) -> dict[str, Any] | None:
    """Which trial of a train job trains which of its search, and how well the ranks agree."""
    stages = compare_stages(view)
    if stages is None:
        return None
    return {
        "pairs": [
            {"search": before.number, "train": after.number if after else None}
            for before, after in stages.pairs
        ],
        "correlations": [asdict(correlation) for correlation in stages.correlations],
    }


def _parent(parent: ParentView) -> dict[str, Any]:
    trials = [trial_json(trial) for trial in parent.trials]
    return {"job": parent.job, "name": parent.name, "trials": trials}


def _budget(budget: Budget) -> dict[str, Any]:
    return {
        "text": str(budget),
        "constraints": [
            {
                "key": constraint.key,
                "metric": constraint.metric,
                "device": constraint.device,
                "op": constraint.op,
                "limit": constraint.limit,
                "unit": constraint.unit,
                "confidence": constraint.confidence,
                "weight": constraint.weight,
            }
            for constraint in budget
        ],
    }


def trial_json(trial: TrialRecord) -> dict[str, Any]:
    """A trial as JSON values; see `to_json`."""
    failure = trial.failure
    return {
        "number": trial.number,
        "state": trial.state,
        "arch": {name: _value(choice) for name, choice in trial.arch.items()},
        "metrics": {name: _finite(value) for name, value in trial.metrics.items()},
        "costs": {name: _cost(cost) for name, cost in trial.costs.items()},
        "reward": _finite(trial.reward),
        "feasible": trial.feasible,
        "violations": {key: _finite(value) for key, value in trial.violations.items()},
        "chosen": trial.chosen,
        "step": trial.step,
        "started": trial.started.isoformat() if trial.started else None,
        "elapsed": _finite(trial.elapsed),
        "stale": trial.stale,
        "failure": failure
        and {"kind": failure.kind, "reason": failure.reason, "log": list(failure.log)},
    }


def _cost(cost: Estimate) -> dict[str, float | None]:
    return {"value": _finite(cost.value), "std": _finite(cost.std)}


def _value(choice: Any) -> Any:
    return _finite(choice) if isinstance(choice, float) else choice


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
