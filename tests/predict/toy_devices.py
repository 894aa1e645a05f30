"""A space of six decisions, and devices whose latencies are sums of costs that they share."""

from __future__ import annotations

import numpy as np
from torch import nn

from hwnas import FunctionSpace
from hwnas.predict import SourceTable
from hwnas.space import Arch


def build(arch: Arch) -> nn.Module:
    return nn.Identity()


SPACE = FunctionSpace({f"layer{i}": ["a", "b", "c", "d"] for i in range(6)}, build)


def archs(n: int, seed: int = 0) -> list[Arch]:
    """n different ones."""
    rng = np.random.default_rng(seed)
    found: dict[str, Arch] = {}
    while len(found) < n:
        arch = SPACE.sample(rng)
        found[str(arch)] = arch
    return list(found.values())


def latencies(of: list[Arch], device: int) -> np.ndarray:
    """Of a device: a mixture of two kinds of costs."""
    kinds = np.random.default_rng(1).gamma(2.0, 1.0, (2, 6, 4))
    share = np.random.default_rng(100 + device).uniform()
    costs = share * kinds[0] + (1 - share) * kinds[1]
    codes = SPACE.encode(of).astype(int)
    return (device + 1.0) * costs[np.arange(6), codes].sum(axis=1)


def table(devices: int = 6, n: int = 60) -> SourceTable:
    rows = archs(n)
    return SourceTable(
        SPACE, tuple(rows), {f"device{d}": latencies(rows, d) for d in range(devices)}
    )
