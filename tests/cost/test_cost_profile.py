"""Profiles of whole spaces: what is measured, how often, and what the table says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cost_devices import Small, TableDevice, by_size, taken
from torch import nn

from hwnas.cost import FeasibleSet, LatencyTable, SpaceParts, load_cost, profile_space, static_costs
from hwnas.device import LocalDevice, MeasurementStore, Timing
from hwnas.errors import CostError
from hwnas.space import FunctionSpace, ModelSpace
from hwnas.zoo import load_space

IMAGE = (1, 3, 6, 6)


@pytest.fixture(scope="module")
def space() -> ModelSpace:
    return ModelSpace(Small)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MeasurementStore]:
    with MeasurementStore(tmp_path / "store.sqlite") as one:
        yield one


def calls(space: ModelSpace, arch: Any) -> list[tuple[nn.Module, tuple[torch.Tensor, ...]]]:
    """The blocks that the network of `arch` runs, with their inputs."""
    model = space.build(arch).eval()
    found: list[tuple[nn.Module, tuple[torch.Tensor, ...]]] = []
    blocks = [model.stem, *model.blocks, model.again, model.pool, model.head]
    for block in blocks:
        block.register_forward_hook(lambda module, inputs, _: found.append((module, inputs)))
    model(torch.zeros(IMAGE))
    return [(module, inputs) for module, inputs in found if not isinstance(module, nn.Identity)]


def test_the_table_is_the_sum_of_the_blocks(space, store) -> None:
    """A decision shared by blocks, a depth, a layer called twice, a layer that does nothing."""
    profile = profile_space(space, IMAGE, TableDevice(), store=store)
    assert profile.parts.granularity == "block"
    for arch in space.enumerate():
        expected = sum(by_size(*one) for one in calls(space, arch))
        assert profile.table(arch) == pytest.approx(expected), arch


def test_each_variant_is_measured_once(space, store) -> None:
    device = TableDevice()
    profile = profile_space(space, IMAGE, device, store=store)
    distinct = {
        (str(module), *(x.shape for x in inputs))
        for arch in space.enumerate()
        for module, inputs in calls(space, arch)
    }
    assert profile.count == len(distinct) == len(device.seen) == len(store)
    assert len(profile.latencies) == len(distinct)
    assert isinstance(profile.latencies, LatencyTable)
    assert {one.item.kind for one in store.all()} == {"block"}
    again = profile_space(space, IMAGE, device, store=store)
    assert len(device.seen) == len(distinct)
    for arch in space.enumerate():
        assert again.table(arch) == profile.table(arch)


def test_the_count_grows_with_layers_not_with_archs() -> None:
    space = load_space("proxylessnas", (3, 32, 32), 10)
    parts = SpaceParts(space, (1, 3, 32, 32))
    assert space.size() > 10**16
    assert parts.granularity == "block"
    # Stem, head, six candidates of each stage's first block, and of the others (but of one stage).
    assert parts.count == 2 + 6 * 6 + 6 * 5


@pytest.mark.parametrize(("name", "granularity"), [("mobilenetv2", "unit"), ("darts", "block")])
def test_nothing_that_multiplies_is_left_out(name: str, granularity: Any, store) -> None:
    """On a device whose latencies are MACs, a table of latencies is one of MACs."""

    def macs(module: nn.Module, inputs: Any) -> float:
        return 1e-3 + static_costs(module, list(inputs), ["macs"])["macs"]

    image = (1, 3, 32, 32)
    space = load_space(name, image[1:], 10)
    device = TableDevice(macs)
    table = profile_space(space, image, device, granularity=granularity, store=store).table
    for seed in range(3):
        arch = space.sample(np.random.default_rng(seed))
        expected = static_costs(space.build(arch), image, ["macs"])["macs"]
        assert table(arch) == pytest.approx(expected, rel=1e-5)


RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from cost_devices import Small, TableDevice
from hwnas.cost import profile_space
from hwnas.device import MeasurementStore
from hwnas.space import ModelSpace
with MeasurementStore(sys.argv[2]) as store:
    device = TableDevice(delay=float(sys.argv[3]))
    profile = profile_space(ModelSpace(Small), (1, 3, 6, 6), device, store=store)
print(profile.count, len(device.seen))
"""


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    """kill -9 in the middle: the second run measures the rest and nothing twice."""
    path = tmp_path / "store.sqlite"
    command = [sys.executable, "-c", RUN, os.path.dirname(__file__), str(path)]
    first = subprocess.Popen([*command, "0.2"])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.05)
        if path.exists():
            with MeasurementStore(path) as store:
                if len(store):
                    break
    first.send_signal(signal.SIGKILL)
    first.wait()
    with MeasurementStore(path) as store:
        before = len(store)
    second = subprocess.run([*command, "0"], capture_output=True, text=True, check=True)
    count, measured = map(int, second.stdout.split())
    assert 0 < before < count
    assert before + measured == count
    with MeasurementStore(path) as store:
        assert len(store) == len({one.item.key for one in store.all()}) == count


def kernel_of_three(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)


def test_what_cannot_be_measured_is_named(space, store) -> None:
    device = TableDevice(refuse=kernel_of_three)
    with pytest.raises(CostError, match=r"2 of \d+ variants .*'again' .*1x2x6x6 .*refused"):
        profile_space(space, IMAGE, device, store=store)
    assert sum(map(kernel_of_three, device.seen)) == 4  # Each was tried again, once.
    whole = TableDevice()
    profile_space(space, IMAGE, whole, store=store)
    assert all(map(kernel_of_three, whole.seen))
    assert len(whole.seen) == 2


def test_missing_variants_rank_last(space, store) -> None:
    device = TableDevice(refuse=kernel_of_three)
    profile = profile_space(space, IMAGE, device, store=store, allow_missing=True)
    assert len(profile.missing) == 2
    costs = {arch["kernel"]: [] for arch in space.enumerate()}
    for arch in space.enumerate():
        costs[arch["kernel"]].append(profile.table(arch))
    assert max(costs[1]) < min(costs[3])


def test_measurements_of_other_times_refer_to_one_speed(space, store) -> None:
    """Half was measured when the host ran at half its speed, and said so by its canary."""
    pure = profile_space(space, IMAGE, TableDevice(), store=store).table
    with MeasurementStore(store.path.parent / "mixed.sqlite") as mixed:
        for number, one in enumerate(store.all()):
            if number % 2:
                mixed.put(one.item, taken(2 * one.measurement.median, reference=0.4))
        both = profile_space(space, IMAGE, TableDevice(), store=mixed).table
    ratios = [both(arch) / pure(arch) for arch in space.enumerate()]
    assert ratios == pytest.approx([ratios[0]] * len(ratios))


def test_units_where_blocks_are_too_many(space, store) -> None:
    parts = SpaceParts(space, IMAGE, affordable=10)
    assert parts.granularity == "unit"
    assert SpaceParts(space, IMAGE).granularity == "block"
    with pytest.raises(CostError, match="no granularity"):
        SpaceParts(space, IMAGE, "layer")  # type: ignore[arg-type]


def test_spaces_without_a_template_are_refused() -> None:
    space = FunctionSpace([], lambda arch: nn.Identity())
    with pytest.raises(CostError, match="only a ModelSpace"):
        SpaceParts(space, IMAGE)


def test_the_table_serves_as_a_limit(space, store, tmp_path: Path) -> None:
    profile = profile_space(space, IMAGE, TableDevice(), store=store)
    values = [profile.table(arch) for arch in space.enumerate()]
    limit = float(np.median(values))
    feasible = FeasibleSet(space, [(profile.table, "<=", limit)])
    drawn = feasible.draw(20, np.random.default_rng(0))
    assert all(profile.table(arch) <= limit for arch in drawn)
    profile.save(tmp_path / "table.npz")
    cost = load_cost(f"latency@board={tmp_path / 'table.npz'}", space)
    assert cost.name == "latency@board"
    assert [cost(arch) for arch in space.enumerate()] == values


def test_on_this_host(space, store) -> None:
    """Real latencies: each row is positive, and the sum is one of them per part."""
    timing = Timing(time_cap=0.05, width=0.5, rounds=(2, 50))
    with LocalDevice(runtime="torch", timing=timing) as device:
        profile = profile_space(space, IMAGE, device, store=store)
    medians = {key: one.median for key, one in profile.measurements.items()}
    assert len(medians) == profile.count
    assert min(medians.values()) > 0
    smallest, _ = profile.table.minimum()
    assert smallest < sum(medians.values())
