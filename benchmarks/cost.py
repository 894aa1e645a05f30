"""Costs of whole spaces: construction, evaluation, expectation and draws under a limit.

Run as `python -m benchmarks.cost [--quick] [--json FILE]`. One thread. Every time is a median. The
peer's figures are those of NNI 3.0 on the same kind of machine (2 cores, PyTorch 2.13, 1 thread).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from benchmarks._rows import Row, main

NNI = "NNI 3.0"
IMAGE = (1, 3, 224, 224)
SPACES = {
    "nasbench201": (1, 3, 32, 32),
    "darts": (1, 3, 32, 32),
    "nasnet": (1, 3, 32, 32),
    "mobilenetv2": IMAGE,
    "proxylessnas": IMAGE,
    "mobilenetv3": IMAGE,
    "shufflenetv2": IMAGE,
    "autoformer": IMAGE,
    "fbnet": IMAGE,
    "ofa_mobilenetv3": IMAGE,
}


def seconds(run: Callable[[], object], repeats: int) -> float:
    """The median time of `run`."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return median(times)


def first_dispatch() -> Row:
    """What PyTorch takes to count one small model for the first time in a process."""
    from torch import nn

    from hwnas.cost import static_costs

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Hardswish())
    took = seconds(lambda: static_costs(model, (1, 3, 8, 8)), 1)
    return Row("PyTorch's first dispatch in a process", took, "s", None, "lower")


def exactness(archs: int) -> list[Row]:
    """The share of archs whose table value is that of the built and traced network."""
    import numpy as np

    from hwnas.cost import CostTable, cost_tables, static_costs
    from hwnas.zoo import load_space

    rows = []
    for name, shape in SPACES.items():
        space = load_space(name)
        costs = cost_tables(space, shape)
        rng = np.random.default_rng(0)
        sampled = [space.sample(rng) for _ in range(archs)]
        equal = sum(
            static_costs(space.build(arch), shape) == {n: cost(arch) for n, cost in costs.items()}
            for arch in sampled
        )
        kind = "tables" if isinstance(costs["macs"], CostTable) else "traced"
        rows.append(Row(f"{name} ({kind}): share exact", equal / archs, "", 1.0, "higher"))
    return rows


def speed(name: str, peer: dict[str, float], repeats: int) -> list[Row]:
    """Construction, evaluation, expectation and draws of one space."""
    import numpy as np
    import torch

    from hwnas.cost import CostTable, FeasibleSet, cost_tables
    from hwnas.zoo import load_space

    space = load_space(name)
    built = seconds(lambda: cost_tables(space, IMAGE), repeats)
    cost = cost_tables(space, IMAGE, ["macs"])["macs"]
    assert isinstance(cost, CostTable)
    table = cost
    rng = np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(1000)]
    many = np.tile(space.encode(archs), (100, 1))
    one = seconds(lambda: [table(arch) for arch in archs], repeats) / len(archs)
    each = seconds(lambda: table.evaluate(many), repeats) / len(many)

    uniform = {
        d.label: torch.full((len(d.choices),), 1 / len(d.choices), requires_grad=True)
        for d in space.decisions
    }

    def expect() -> None:
        table.expectation(uniform).backward()

    expect()
    expected = seconds(expect, 20 * repeats)
    limit = table.quantile(0.05)

    def program() -> FeasibleSet:
        feasible = FeasibleSet(space, [(table, "<=", limit)])
        feasible.draw(1, rng)
        return feasible

    prepared = seconds(program, repeats)
    feasible = program()
    drawn = seconds(lambda: feasible.draw(200, rng), 3 * repeats)
    acceptance = feasible.acceptance or 0.0

    def row(figure: str, value: float, unit: str, target: float, key: str) -> Row:
        known = (peer[key], NNI) if key in peer else ()
        return Row(f"{name}: {figure}", value, unit, target, "lower", *known)

    return [
        row("construction, warm", built, "s", 0.5, "construction"),
        row("one arch", one * 1e6, "us", 20, "one"),
        row("100,000 archs, each", each * 1e6, "us", 2, "one"),
        row("expectation with gradient", expected * 1e3, "ms", 1, "expectation"),
        row("program for the 5 % quantile of `decisions`", prepared, "s", 1, ""),
        row("200 feasible archs", drawn * 1e3, "ms", 50, "feasible"),
        Row(f"{name}: acceptance of draws", acceptance, "", 0.95, "higher"),
    ]


def measure(quick: bool) -> list[Row]:
    """All rows."""
    import torch

    torch.set_num_threads(1)
    first = first_dispatch()
    repeats = 3 if quick else 9
    return [
        first,
        *speed(
            "mobilenetv3",
            {"construction": 0.525, "one": 19_400, "expectation": 60_000, "feasible": 313_000},
            repeats,
        ),
        *speed(
            "proxylessnas",
            {"construction": 2.34, "one": 41, "expectation": 10, "feasible": 13_850},
            repeats,
        ),
        *exactness(5 if quick else 200),
    ]


if __name__ == "__main__":
    main("cost", measure)
