"""How probable each setting is, learnt by treating every source device as unknown in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hwnas.predict._metabma._adapted import Adapted
from hwnas.predict._metabma._bank import Bank, parted
from hwnas.predict._metabma._calibration import Calibration, describe
from hwnas.predict._metabma._design import chosen
from hwnas.predict._metabma._evidence import Evidence
from hwnas.predict._metabma._terms import FIXED, FLOOR, Terms

LOGS = (False, True)
"""The scales: latency, and its logarithm."""
_SAMPLES = {5: 4, 10: 4, 20: 2}
"""How many archs the unknown device is taken to have measured, and how often."""
_ITERATIONS = 40
_FLAT = 0.5
_DESIGNS = 2
_DESIGN_CANDIDATES = 200
_CHECKED = 300


@dataclass(frozen=True)
class _Task:
    """A source device that others foretell.

    Attributes:
        device: its column.
        known: rows that it measured.
        latencies: (n,) in ms of all rows; NaN where not measured.
        terms: of the other devices, on each scale.
        blocks: these terms of the reference archs.
    """

    device: int
    known: Tensor
    latencies: Tensor
    terms: tuple[Terms, ...]
    blocks: tuple[list[Tensor], ...]


def learnt(
    foretold: Tensor,
    measured: Tensor,
    features: Sequence[Tensor],
    settings: int,
    seed: int,
) -> tuple[list[Bank], Calibration]:
    """Banks of both scales, and how far they can be trusted.

    Args:
        foretold: (n, k), latencies in ms of the reference archs on the sources, by their models.
        measured: (n, k), as measured; NaN where not.
        features: of the reference archs.
        settings: how many are averaged over, on each scale.
        seed: of the settings and of the archs that the unknown device is taken to have measured.
    """
    tasks = [_task(one, others, foretold, measured, features) for one, others in _lessons(foretold)]
    banks = [
        Bank.random(log, settings, FIXED - 2 + len(features), *_sizes(tasks, at, foretold), seed)
        for at, log in enumerate(LOGS)
    ]
    if not tasks:
        return banks, Calibration.none()
    chance = np.random.default_rng(seed)
    rows = [
        torch.cat(
            [
                Evidence.of(bank, [b[drawn] for b in blocks], task.latencies[drawn]).log_evidence
                for bank, blocks in zip(banks, task.blocks, strict=True)
            ]
        )
        for task in tasks
        for n, times in _SAMPLES.items()
        for drawn in (_draw(chance, task.known, n) for _ in range(times))
    ]
    evidence = torch.stack(rows)
    device = torch.tensor([task.device for task in tasks]).repeat_interleave(sum(_SAMPLES.values()))
    weighted = _weighted(banks, _mixture(evidence))
    inputs, errors = [], []
    for left_out in sorted({task.device for task in tasks}):
        # What the device itself taught may not vouch for the trust in it.
        others = _weighted(banks, _mixture(evidence[device != left_out]))
        for task in tasks:
            if task.device == left_out:
                for _ in range(_DESIGNS):
                    x, e = _checked(task, others, chance)
                    inputs += x
                    errors += e
    return weighted, Calibration.fit(torch.stack(inputs), errors)


def _task(
    device: int,
    others: Sequence[int],
    foretold: Tensor,
    measured: Tensor,
    features: Sequence[Tensor],
) -> _Task:
    terms = tuple(Terms.of(foretold, others, log) for log in LOGS)
    known = (~measured[:, device].isnan()).nonzero()[:, 0]
    blocks = tuple(each(foretold, features) for each in terms)
    return _Task(device, known, measured[:, device], terms, blocks)


def _lessons(foretold: Tensor) -> list[tuple[int, list[int]]]:
    """Each device and those that foretell it: all others, and the half least like it.

    The second teach what to expect of a device that has no sibling among the sources.
    """
    k = foretold.shape[1]
    ranks = foretold.argsort(0).argsort(0).double()
    alike = torch.corrcoef(ranks.mT).reshape(k, k)
    found = []
    for device in range(k):
        others = [other for other in range(k) if other != device]
        if others:
            found.append((device, others))
        if len(others) >= 4:
            far = sorted(others, key=lambda other: float(alike[device, other]))
            found.append((device, sorted(far[: len(far) // 2])))
    return found


def _sizes(
    tasks: Sequence[_Task], scale: int, foretold: Tensor
) -> tuple[float, tuple[float, float]]:
    """Variance of the sources' latencies, and mean and variance of their slopes."""
    if not tasks:  # One device: the spread of its latencies says what to expect of another.
        own = foretold[:, 0].log() if LOGS[scale] else foretold[:, 0] / foretold[:, 0].mean()
        variance = float(own.var(correction=0))
        return variance, (variance**0.5, 0.25 * variance)
    slopes, variances = [], []
    for task in tasks:
        values = task.latencies[task.known]
        values = values.clamp_min(FLOOR * values.median())
        values = values.log() if LOGS[scale] else values / values.mean()
        values = values - values.mean()
        mean = task.blocks[scale][1][task.known, 0]
        mean = mean - mean.mean()
        slopes.append((mean @ values) / mean.square().sum().clamp_min(1e-12))
        variances.append(values.square().mean())
    slope = torch.stack(slopes)
    return float(torch.stack(variances).mean()), (
        float(slope.mean()),
        float(slope.var(correction=0)),
    )


def _draw(chance: np.random.Generator, rows: Tensor, n: int) -> Tensor:
    """At most n of the rows."""
    return torch.from_numpy(chance.permutation(rows.numpy())[:n])


def _mixture(evidence: Tensor) -> Tensor:
    """Weights (c,) that make the tasks' log evidence (t, c) most probable, a part of them flat.

    Expectation maximisation for the proportions of a mixture (Dempster, Laird and Rubin 1977).
    """
    likelihood = (evidence - evidence.max(1, keepdim=True).values).exp()
    weights = torch.full_like(likelihood[0], 1 / likelihood.shape[1])
    for _ in range(_ITERATIONS):
        weights = weights * (likelihood / (likelihood @ weights)[:, None]).mean(0)
    return (1 - _FLAT) * weights + _FLAT / len(weights)


def _weighted(banks: Sequence[Bank], weights: Tensor) -> list[Bank]:
    parts = parted(weights, banks)
    return [bank.weighted(part) for bank, part in zip(banks, parts, strict=True)]


def _checked(
    task: _Task, banks: Sequence[Bank], chance: np.random.Generator
) -> tuple[list[Tensor], list[Tensor]]:
    """A design of each size: what was told of the trust in it, and errors on other archs."""
    drawn = _draw(chance, task.known, _DESIGN_CANDIDATES + _CHECKED)
    rest = drawn[len(drawn) // 2 :][:_CHECKED]
    candidates = drawn[: len(drawn) // 2][:_DESIGN_CANDIDATES]
    blocks = [[b[candidates] for b in own] for own in task.blocks]
    weights = [bank.weights for bank in banks]
    n = min(max(_SAMPLES), len(candidates))
    design = candidates[chosen(n, banks, weights, blocks)]
    inputs, errors = [], []
    for size in _SAMPLES:
        at = design[:size]
        y = task.latencies
        known = [[b[at] for b in own] for own in task.blocks]
        adapted = Adapted.of(banks, task.terms[0], known, y[at])
        mean, std = adapted.predict([[b[rest] for b in own] for own in task.blocks])
        inputs.append(describe(adapted.found))
        errors.append((y[rest] - mean) / std)
    return inputs, errors
