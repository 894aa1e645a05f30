"""Every kind of cost keeps the contract of `Cost`."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from hwnas import Choice, LayerChoice, ModelSpace
from hwnas.budget import Estimate
from hwnas.cost import (
    Block,
    Cost,
    CostTable,
    FunctionCost,
    LatencyTable,
    MaxTable,
    TracedCost,
    cost_tables,
    load_cost,
    load_costs,
)
from hwnas.errors import ArchError, CostError, HwnasError, UsageError
from hwnas.space import FunctionSpace
from hwnas.space import nn as snn

INPUT = (1, 3, 8, 8)


def conv(width) -> nn.Module:
    return snn.Conv2d(width, width, Choice([3, 5], label="kernel"), padding=2)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        width = Choice([4, 8, 12], label="width")
        self.stem = snn.Conv2d(3, width, 3, padding=1)
        self.body = LayerChoice(
            {"skip": nn.Identity, "conv": lambda: conv(width)},
            label="body",
        )

    def forward(self, x):
        return self.body(self.stem(x)).mean((2, 3))


SPACE = ModelSpace(Net)
# Too many archs to trace all of them for a table.
PLAIN = FunctionSpace(
    {"width": range(1, 40), "bias": [True, False]},
    lambda arch: nn.Linear(3, arch["width"], bias=arch["bias"]),
)


def by_hand(arch) -> float:
    return arch["width"] * (1.5 if arch["body"] == "skip" else arch["kernel"])


class Own(Cost):
    name = "own"

    def __init__(self, space) -> None:
        self.space = space

    def __call__(self, arch) -> float:
        self.space.validate(arch)
        return 0.1 * arch["width"]


def latency_table() -> Cost:
    entries = {f"conv{width}": Estimate(0.1 * width, 0.01) for width in (4, 8, 12)}
    blocks = [
        Block(["width"], lambda arch: f"conv{arch['width']}"),
        Block(["body", "width"], lambda a: f"conv{a['width']}" if a["body"] == "conv" else None),
    ]
    return LatencyTable(entries).cost(SPACE, blocks)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """An installed distribution with members of `hwnas.costs`."""
    info = tmp_path / "own_costs-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-costs\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[hwnas.costs]\njoules = own_costs:joules\nwatts = own_costs:watts\n"
    )
    (tmp_path / "own_costs.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("own_costs", None)


MODULE = """
import hwnas.cost as costs

def joules(space, inputs):
    assert inputs == (1, 3, 8, 8)
    return costs.cost_tables(space, inputs, ["macs"])["macs"].renamed("joules") * 0.5

def watts(arch):
    return 2 * arch["width"]

class Made(costs.Cost):
    name = "made"
    def __init__(self, space): self.space = space
    def __call__(self, arch):
        self.space.validate(arch)
        return float(arch["width"])

def needy(space, inputs, extra): ...
def forgetful(space): ...
def pair(one, two): ...
def macs(arch): return 1
def text(arch): return "much"
def failing(arch): return 1 / 0
number = 3
"""


def saved(folder: Path) -> Cost:
    table = CostTable.of("stored", SPACE, [(["width"], lambda arch: arch["width"] / 3)])
    table.save(folder / "stored.npz")
    return load_cost(str(folder / "stored.npz"), SPACE)


def static(metric: str) -> Cost:
    return cost_tables(SPACE, INPUT, [metric])[metric]


KINDS: dict[str, Callable[[Path], Cost]] = {
    "macs": lambda _: static("macs"),
    "weight_bytes": lambda _: static("weight_bytes"),
    "sum": lambda _: 2 * static("macs") + static("params") + 5,
    "parts": lambda _: CostTable.of("parts", SPACE, [(["width", "body", "kernel"], by_hand)]),
    "maximum": lambda _: MaxTable("most", SPACE, [static(m).tables for m in ("macs", "params")]),
    "saved": saved,
    "renamed table": lambda _: static("macs").renamed("mine"),
    "latency": lambda _: latency_table(),
    "traced": lambda _: cost_tables(PLAIN, (1, 3), ["macs"])["macs"],
    "function": lambda _: FunctionCost("by_hand", SPACE, by_hand),
    "own class": lambda _: Own(SPACE),
    "renamed": lambda _: Own(SPACE).renamed("other@board"),
    "entry point": lambda _: load_cost("joules", SPACE, INPUT),
    "entry point, a function": lambda _: load_cost("watts", SPACE, INPUT),
    "reference": lambda _: load_cost("other@board=own_costs.py:Made", SPACE),
}


@pytest.fixture(params=KINDS)
def cost(request, plugin: Path) -> Cost:
    return KINDS[request.param](plugin)


def archs_of(cost: Cost) -> list[dict]:
    return list(cost.space.enumerate())


def test_a_finite_number_the_same_at_each_call(cost: Cost) -> None:
    assert isinstance(cost.name, str)
    assert isinstance(cost.exact, bool)
    for arch in archs_of(cost):
        before = dict(arch)
        value = cost(arch)
        assert type(value) in (float, int)
        assert math.isfinite(value)
        assert cost(dict(reversed(arch.items()))) == value
        assert arch == before


def test_many_at_once_are_those_one_by_one(cost: Cost) -> None:
    archs = archs_of(cost)
    values = cost.evaluate(cost.space.encode(archs))
    assert values.dtype == np.float64
    assert values.shape == (len(archs),)
    assert values.tolist() == pytest.approx([cost(arch) for arch in archs], rel=1e-12)
    assert cost.evaluate(cost.space.encode([])).shape == (0,)


def test_alien_archs(cost: Cost) -> None:
    """Unknown, missing, no choice, not taken, of another type: an `ArchError`, never a number."""
    arch = cost.space.default()
    aliens = [
        {},
        {**arch, "height": 3},
        {**arch, "width": 1000},
        {**arch, "width": float(arch["width"])},
        {label: value for label, value in arch.items() if label != "width"},
    ]
    if cost.space is SPACE:
        assert arch["body"] == "skip"
        aliens.append({**arch, "kernel": 3})
    for alien in aliens:
        with pytest.raises(ArchError):
            cost(alien)
    row = cost.space.encode([arch])
    for wrong in (row + 1000, row - 1000, row[:, 1:], row[0], np.vstack([row, row * 0 - 1])):
        with pytest.raises(ArchError):
            cost.evaluate(wrong)


def test_from_several_threads(cost: Cost) -> None:
    archs = archs_of(cost)
    expected = [cost(arch) for arch in archs]
    fresh = fresh_copy(cost)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fresh, archs)) == expected
        encoded = cost.space.encode(archs)
        for values in pool.map(fresh.evaluate, [encoded] * 8):
            assert values.tolist() == pytest.approx(expected, rel=1e-12)


def fresh_copy(cost: Cost) -> Cost:
    """The same cost with nothing remembered, where it remembers."""
    if isinstance(cost, TracedCost):
        return cost_tables(PLAIN, (1, 3), ["macs"])["macs"]
    return cost.renamed(cost.name)


def test_renamed(cost: Cost) -> None:
    other = cost.renamed("another")
    assert other.name == "another"
    assert other.space.fingerprint == cost.space.fingerprint
    assert other.exact == cost.exact
    arch = cost.space.default()
    assert other(arch) == cost(arch)


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "much"])
def test_what_is_no_number_is_an_error(value: object) -> None:
    made = FunctionCost("odd", SPACE, lambda arch: value)
    arch = SPACE.default()
    with pytest.raises(CostError, match="'odd'"):
        made(arch)
    with pytest.raises(CostError, match="'odd'"):
        made.evaluate(SPACE.encode([arch]))
    with pytest.raises(CostError, match="'odd'"):
        CostTable.of("odd", SPACE, [(["width"], lambda arch: value)])


def test_names(plugin: Path) -> None:
    """NAME= renames; else a cost's own name, or the function's."""
    names = {
        "joules": "joules",
        "energy@board=joules": "energy@board",
        "own_costs:watts": "watts",
        "own_costs.py:watts": "watts",
        "latency=own_costs.py:watts": "latency",
        str(plugin / "own_costs.py") + ":Made": "made",
    }
    for reference, name in names.items():
        assert load_cost(reference, SPACE, INPUT).name == name
    found = load_costs(["joules", "own_costs:watts", Own(SPACE), by_hand], SPACE, INPUT)
    assert list(found) == ["joules", "watts", "own", "by_hand"]
    assert isinstance(found["joules"], CostTable)
    arch = SPACE.default()
    assert found["by_hand"](arch) == by_hand(arch)


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("joule", ["unknown cost 'joule'", "joules, watts", "module:name"]),
        ("own_costs:missing", ["no 'missing'"]),
        ("no_such_module:cost", ["no_such_module"]),
        ("own_costs:number", ["int", "not a cost"]),
        ("own_costs:needy", ["'extra'", "space and inputs"]),
        ("own_costs:forgetful", ["NoneType", "returns a hwnas.cost.Cost"]),
        ("own_costs:pair", ["'two'", "function of an arch"]),
        ("own_costs:macs", ["'macs' is computed already", "NAME="]),
        ("params=own_costs:watts", ["'params' is computed already"]),
        ("a b=own_costs:watts", ["'a b'"]),
        ("a<b=own_costs:watts", ["'a<b'"]),
        ("=own_costs:watts", ["'' cannot name"]),
        ("a@=own_costs:watts", ["'a@'"]),
        ("nothing.npz", ["nothing.npz"]),
    ],
)
def test_mistakes(plugin: Path, reference: str, parts: list[str]) -> None:
    with pytest.raises(HwnasError) as caught:
        load_cost(reference, SPACE, INPUT)
    assert "\n" not in str(caught.value)
    assert all(part in str(caught.value) for part in parts), caught.value


def test_a_name_given_twice(plugin: Path) -> None:
    with pytest.raises(UsageError, match="two costs are named 'watts'"):
        load_costs(["watts", "watts=own_costs:Made"], SPACE, INPUT)


def test_a_cost_of_another_space() -> None:
    with pytest.raises(CostError, match="another space"):
        load_costs([Own(PLAIN)], SPACE)


def test_a_function_that_fails(plugin: Path) -> None:
    arch = SPACE.default()
    with pytest.raises(CostError, match="'failing' failed: ZeroDivisionError"):
        load_cost("own_costs:failing", SPACE)(arch)
    with pytest.raises(CostError, match="'text' is 'much'"):
        load_cost("own_costs:text", SPACE)(arch)
