"""Costs of whole spaces: construction, evaluation, expectation and draws under a limit.

Run as `python -m benchmarks.cost [--quick] [--json FILE]`. One thread. Every time is a median. The
peer is NNI 3.0, on the spaces of those names that it brings itself: measured in the same run after
`make peers`, else quoted from a run on a like machine (2 cores, PyTorch 2.13, 1 thread).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks._measured_peak import measured_peak
from benchmarks._peers import NNI, Nni, nni
from benchmarks._rows import Row, main

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
    "hat": ((1, 30), (1, 25)),
}
"""The shapes of the inputs: of an image, or of two sentences of tokens."""


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


def exactness(archs: int, peer: Nni) -> list[Row]:
    """The share of archs whose table value is that of the built and traced network."""
    import numpy as np
    import torch

    from hwnas.cost import STATIC_METRICS, CostTable, MaxTable, cost_tables, static_costs
    from hwnas.zoo import load_space

    rows, tabulated, peaks = [], 0, 0
    for name, shape in SPACES.items():
        space = load_space(name)
        inputs: Any = shape
        if isinstance(shape[0], tuple):
            inputs = tuple(torch.zeros(size, dtype=torch.long) for size in shape)
        costs = cost_tables(space, inputs, STATIC_METRICS)
        rng = np.random.default_rng(0)
        sampled = [space.sample(rng) for _ in range(archs)]
        equal = sum(
            static_costs(space.build(arch), inputs, costs)
            == {n: cost(arch) for n, cost in costs.items()}
            for arch in sampled
        )
        tabulated += isinstance(costs["macs"], CostTable)
        peaks += isinstance(costs["peak_activation_bytes"], MaxTable)
        rows.append(Row(f"{name}: share of {archs} archs exact", equal / archs, "", 1, "higher"))
    known = peer.share("hub", "works"), NNI, peer.measured
    share = Row(
        "share of ready-made spaces with tables", tabulated / len(SPACES), "", 1, "higher", *known
    )
    figure = "share of ready-made spaces with tables of the peak"
    return [share, Row(figure, peaks / len(SPACES), "", None, "higher"), *rows]


def modules(peer: Nni) -> Row:
    """The share of ordinary modules and functions that are exact in a small space."""
    from tests.cost.cost_modules import ORDINARY, Case, counted
    from tests.cost.cost_spaces import around

    from hwnas.cost import cost_tables
    from hwnas.errors import CostError

    def exact(case: Case) -> bool:
        space, shape = around(case)
        try:
            costs = cost_tables(space, shape, ["macs", "params"])
        except CostError:
            return False
        return all(
            {name: cost(arch) for name, cost in costs.items()} == counted(space.build(arch), shape)
            for arch in space.enumerate()
        )

    share = sum(map(exact, ORDINARY.values())) / len(ORDINARY)
    known = peer.share("modules", "exact"), NNI, peer.measured
    return Row("share of 53 ordinary modules exact", share, "", 1, "higher", *known)


def counts() -> Row:
    """How many of 5 feasible counts of NAS-Bench-201 are those of all its archs one by one."""
    import numpy as np

    from hwnas.cost import CostTable, FeasibleSet, cost_tables
    from hwnas.zoo import load_space

    space = load_space("nasbench201")
    macs = cost_tables(space, SPACES["nasbench201"], ["macs"])["macs"]
    assert isinstance(macs, CostTable)
    values = macs.evaluate(space.encode(list(space.enumerate())))
    equal = 0
    for limit in np.quantile(values, (0.01, 0.05, 0.25, 0.5, 0.9)):
        count = FeasibleSet(space, [(macs, "<=", float(limit))]).count()
        equal += count.lower == count.upper == int((values <= limit).sum())
    return Row("nasbench201: share of 5 feasible counts exact", equal / 5, "", 1, "higher")


def peaks() -> list[Row]:
    """How far peaks are from those of real runs, on two networks from each space of images."""
    import numpy as np
    import torch

    from hwnas.cost import static_costs
    from hwnas.zoo import load_space

    metric = "peak_activation_bytes"
    kernels: list[float] = []
    process: list[float] = []
    for name, shape in SPACES.items():
        if name == "hat":
            continue
        space, rng = load_space(name), np.random.default_rng(0)
        for _ in range(2):
            network = space.build(space.sample(rng))
            peak = static_costs(network, shape, [metric])[metric]
            without, whole = measured_peak(network, [torch.zeros(shape)])
            kernels.append(abs(peak / without - 1))
            process.append(abs(peak / whole - 1))
    figure = "20 networks: largest error of the peak"
    return [
        Row(figure, max(kernels), "", 0.05, "lower"),
        Row("the same, with kernels' own memory", max(process), "", None, "lower"),
        Row("the same, median", median(process), "", None, "lower"),
    ]


def speed(name: str, peer: Nni, repeats: int) -> list[Row]:
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

    def row(figure: str, seconds: float, unit: str, target: float, key: str = "") -> Row:
        scale = {"s": 1, "ms": 1e3, "us": 1e6}[unit]
        known: tuple[float, str, bool] | tuple[()] = ()
        if key:
            theirs, who = peer.seconds(name, key)
            known = theirs * scale, who, peer.measured
        return Row(f"{name}: {figure}", seconds * scale, unit, target, "lower", *known)

    return [
        row("construction, warm", built, "s", 0.5, "construction"),
        row("one arch", one, "us", 20, "one"),
        row("100,000 archs, each", each, "us", 2, "one"),
        row("expectation with gradient", expected, "ms", 1, "expectation"),
        row("program for the 5 % quantile of `decisions`", prepared, "s", 1),
        row("200 feasible archs", drawn, "ms", 50, "feasible"),
        Row(f"{name}: acceptance of draws", acceptance, "", 0.95, "higher"),
    ]


def searches(proposals: int) -> list[Row]:
    """The share of what strategies propose under a tight limit that keeps it.

    Beside it the share where they propose freely and are told the violations. Nothing is trained:
    the value of an arch is the logarithm of its parameters.
    """
    import math

    import optuna

    from hwnas.cost import RangeFilter, cost_tables
    from hwnas.strategy import Candidates, SpaceSampler, make_strategy, suggest
    from hwnas.zoo import load_space

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = load_space("mobilenetv3")
    costs = cost_tables(space, IMAGE, ["macs", "params"])
    macs, params = costs["macs"], costs["params"]
    limit = float(macs.quantile(0.05))  # type: ignore[attr-defined]

    def share(name: str, candidates: Candidates) -> float:
        sampler = SpaceSampler(candidates, make_strategy(name))
        study = optuna.create_study(sampler=sampler, direction="maximize")
        kept = 0
        for _ in range(proposals):
            trial = study.ask()
            arch = suggest(trial, space)
            kept += macs(arch) <= limit
            trial.set_constraint("macs", macs(arch) / limit - 1)
            study.tell(trial, math.log(params(arch)))
        return kept / proposals

    within, free = Candidates(space, [RangeFilter(macs, max=limit)]), Candidates(space)
    return [
        Row(
            f"mobilenetv3, {name}: proposals that keep the 5 % quantile",
            share(name, within), "", 1, "higher", share(name, free), "proposed freely", True,
        )
        for name in ("random", "evolution", "tpe")
    ]  # fmt: skip


def measure(quick: bool) -> list[Row]:
    """All rows."""
    import torch

    torch.set_num_threads(1)
    first = first_dispatch()
    peer = nni(10 if quick else 600)
    repeats = 3 if quick else 9
    return [
        first,
        *speed("mobilenetv3", peer, repeats),
        *speed("proxylessnas", peer, repeats),
        modules(peer),
        counts(),
        *searches(40 if quick else 200),
        *peaks(),
        *exactness(5 if quick else 200, peer),
    ]


if __name__ == "__main__":
    main("cost", measure)
