"""Jobs as a search would leave them, for the tests of what is shown about them."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from hwnas._estimate import Estimate
from hwnas.budget import Budget, make_reward
from hwnas.jobs import Failure, JobView, ParentView, TrialRecord

BUDGET = Budget.parse("latency@pixel6 <= 1.2 ms, params <= 60 k")
START = datetime(2026, 5, 4, 9, 30, tzinfo=timezone.utc)


def job(trials: tuple[TrialRecord, ...] = (), **changes: Any) -> JobView:
    """A job with these trials; the winner and the nearest are found among them."""
    ended = [t for t in trials if t.state == "complete" and t.reward is not None]
    kept = [t for t in ended if t.feasible]
    nearest = min(ended, key=lambda t: sum(max(v, 0) for v in t.violations.values()), default=None)
    facts: dict[str, Any] = {
        "name": "digits-under-budget",
        "where": "runs/digits",
        "folder": Path("runs/digits"),
        "budget": BUDGET,
        "objectives": (("reward", "max"),),
        "metric": "accuracy",
        "strategy": "evolution",
        "seed": 7,
        "created": START.isoformat(),
        "versions": {"hwnas": "0.1.0", "torch": "2.13.0", "optuna": "5.0.0"},
        "space": "digits_cnn",
        "fingerprint": "9f2c4b7a1d3e5f60" * 4,
        "size": 5760,
        "task": "digits",
        "trials_asked": len(trials),
        "winner": max(kept, key=lambda t: t.reward or 0.0).number if kept else None,
        "nearest": nearest.number if nearest else None,
    }
    return JobView(trials=trials, **(facts | changes))


def complete(
    number: int,
    accuracy: float,
    latency: float,
    params: float,
    *,
    std: float = 0.03,
    budget: Budget = BUDGET,
    **more: Any,
) -> TrialRecord:
    """A trial that ended well."""
    costs = {
        "latency@pixel6": Estimate(latency, std),
        "params": Estimate(params),
        "flops": Estimate(params * 31.4),
    }
    facts: dict[str, Any] = {
        "arch": {"kernel": 3, "width": 16},
        "metrics": {"accuracy": accuracy, "loss": 1.1 - accuracy},
        "costs": costs,
        "reward": make_reward("hard")(accuracy, costs, budget),
        "feasible": budget.feasible(costs),
        "violations": budget.violations(costs),
        "step": 4,
        "started": START + timedelta(seconds=5 * number),
        "elapsed": 3.4,
    }
    return TrialRecord(number, "complete", **(facts | more))


def trained(pairs: list[tuple[float, float]], **changes: Any) -> JobView:
    """A train job with such accuracies in stage 1 and 2, under numbers that differ."""
    before = tuple(complete(10 + k, one, 1.0, 5e4) for k, (one, _) in enumerate(pairs))
    after = tuple(
        replace(complete(k, two, 1.1, 5e4), chosen=10 + k) for k, (_, two) in enumerate(pairs)
    )
    parent = ParentView("/home/ada/secret/digits", "digits", before)
    return job(after, **({"name": "digits-train-1", "parent": parent} | changes))


def failed(number: int, kind: str, reason: str, *log: str) -> TrialRecord:
    """A trial that did not."""
    arch = {"kernel": 5, "width": 32}
    return TrialRecord(
        number, "failed", arch, started=START, elapsed=0.8, failure=Failure(kind, reason, log)
    )


def realistic(trials: int = 48, seed: int = 3) -> JobView:
    """A search as it goes: rising accuracy, some trials over budget, a few that failed."""
    rng = random.Random(seed)
    made: list[TrialRecord] = []
    for number in range(trials):
        if rng.random() < 0.06:
            made.append(
                failed(
                    number,
                    *rng.choice(
                        [
                            ("timeout", "longer than 60 s"),
                            ("error", "RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
                            ("killed", "signal 9; the machine may be out of memory"),
                        ]
                    ),
                    f"epoch 1: loss {rng.uniform(1, 2):.3f}",
                    "Traceback (most recent call last):",
                    '  File "train.py", line 42, in train',
                )
            )
            continue
        arch: dict[str, Any] = {
            "conv1.kernel": rng.choice([3, 5]),
            "conv1.width": rng.choice([8, 16, 24, 32]),
            "conv2.kernel": rng.choice([3, 5]),
            "conv2.width": rng.choice([16, 32, 48, 64]),
            "depth": rng.choice([1, 2, 3]),
            "activation": rng.choice(["relu", "silu", "hardswish"]),
        }
        size = arch["conv1.width"] * arch["conv2.width"] * arch["conv1.kernel"] * arch["depth"]
        params = 4_000 + 9.1 * size + 64 * arch["conv2.width"]
        latency = 0.28 + size / 11_000 * rng.uniform(0.9, 1.1) + 0.08 * arch["depth"]
        ceiling = 0.991 - 0.12 * 0.994 ** (size / 6)
        accuracy = ceiling - abs(rng.gauss(0, 0.012)) - 0.04 * 0.9**number
        made.append(
            complete(
                number,
                round(accuracy, 4),
                latency,
                params,
                std=0.02 * latency,
                arch=arch,
                elapsed=rng.uniform(2, 6),
            )
        )
    return job(tuple(made))
