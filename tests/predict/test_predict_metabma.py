"""MetaBMA: what it promises of any device, and how well it does on measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import ArchError, PredictError
from hwnas.predict import SourceTable, load_descriptor, load_predictor, score
from hwnas.predict._metabma import MetaBMA
from hwnas.predict._metabma._timer import resolution
from hwnas.predict._stored import read
from hwnas.space import Arch
from hwnas.zoo import load_space
from support import data_path

SPACE = load_space("nasbench201")
COUNTS = load_descriptor("nasbench201")
DEVICES = 6


@cache
def archs() -> tuple[Arch, ...]:
    chance = np.random.default_rng(0)
    found = {str(arch): arch for arch in (SPACE.sample(chance) for _ in range(450))}
    return tuple(found.values())[:400]


def latencies(device: int, noise: float = 0.0) -> np.ndarray:
    """A device on which each kind of operation has its price."""
    chance = np.random.default_rng(device)
    counts = COUNTS.groups(archs())["counts"]
    prices = np.array([0.05, 1.0, 4.0, 0.6]) * chance.uniform(0.5, 2, 4)
    exact = chance.uniform(1, 20) * (2 + counts @ prices)
    return np.asarray(exact * np.exp(noise * chance.standard_normal(len(exact))))


def table(devices: int = DEVICES, noise: float = 0.02) -> SourceTable:
    found = {f"d{i}": latencies(i, noise)[:250] for i in range(devices)}
    return SourceTable("nasbench201", archs()[:250], found)


@cache
def fitted(devices: int = DEVICES) -> MetaBMA:
    predictor = MetaBMA(settings=300)
    predictor.fit(table(devices))
    return predictor


POOL, ASKED = range(250), archs()[250:]


def told(
    predictor: MetaBMA, at: Sequence[int], latency: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    found = predictor.adapt([archs()[i] for i in at], latency[list(at)].tolist()).predict(ASKED)
    return found.mean, found.std


def suggested(predictor: MetaBMA, n: int) -> list[int]:
    place = {str(arch): i for i, arch in enumerate(archs())}
    return [place[str(arch)] for arch in predictor.suggest(n, archs()[:250])]


@settings(max_examples=5, deadline=None)
@given(st.permutations(range(10)), st.floats(1e-3, 1e3))
def test_order_and_unit_of_the_samples_do_not_matter(order: list[int], unit: float) -> None:
    at, latency = suggested(fitted(), 10), latencies(90, 0.05)
    mean, std = told(fitted(), at, latency)
    again, spread = told(fitted(), [at[i] for i in order], unit * latency)
    np.testing.assert_allclose(again, unit * mean, rtol=1e-3)
    np.testing.assert_allclose(spread, unit * std, rtol=1e-3)


def test_a_device_whose_prices_add_up_is_known_from_ten() -> None:
    for device in range(90, 94):
        latency = latencies(device)
        mean, std = told(fitted(), suggested(fitted(), 10), latency)
        assert np.median(abs(mean / latency[250:] - 1)) < 0.04
        assert np.mean(abs(mean - latency[250:]) <= 1.645 * std) > 0.5


def test_more_measurements_help() -> None:
    errors = [
        np.mean(
            [
                np.median(abs(told(fitted(), at[:n], latency)[0] / latency[250:] - 1))
                for device in range(90, 94)
                for at, latency in [(suggested(fitted(), 40), latencies(device, 0.05))]
            ]
        )
        for n in (1, 5, 40)
    ]
    assert errors[0] > errors[1]
    assert errors[0] > errors[2]


@pytest.mark.parametrize("devices", [0, 1, 2])
def test_few_sources_are_enough(devices: int) -> None:
    predictor = MetaBMA(settings=300)
    predictor.fit(table(devices) if devices else SourceTable("nasbench201", (), {}))
    latency = latencies(90, 0.02)
    at = suggested(predictor, 16)
    for n, most in ((1, 0.8), (16, 0.1)):
        mean, std = told(predictor, at[:n], latency)
        assert np.median(abs(mean / latency[250:] - 1)) < most
        assert std.min() > 0
        assert mean.min() > 0


def test_sources_may_have_measured_different_archs() -> None:
    holes = {name: values.copy() for name, values in table().latencies.items()}
    for i, values in enumerate(holes.values()):
        values[i::7] = np.nan
        values[: 20 * i] = np.nan
    predictor = MetaBMA(settings=300)
    predictor.fit(SourceTable("nasbench201", archs()[:250], holes))
    latency = latencies(90)
    mean, _ = told(predictor, suggested(predictor, 10), latency)
    assert np.median(abs(mean / latency[250:] - 1)) < 0.05


def test_first_suggestions_are_nested_and_differ() -> None:
    ten = suggested(fitted(), 10)
    assert len(set(ten)) == 10
    assert suggested(fitted(), 4) == ten[:4]


def test_next_suggestions_are_new() -> None:
    latency = latencies(90, 0.05)
    pool = list(archs()[:250])
    first = suggested(fitted(), 5)
    measured = [(archs()[i], float(latency[i])) for i in first]
    chosen = fitted().suggest(
        5, [a for i, a in enumerate(pool) if i not in first], measured=measured
    )
    place = {str(arch): i for i, arch in enumerate(pool)}
    at = [*first, *(place[str(arch)] for arch in chosen)]
    assert len(set(at)) == 10


def test_a_coarse_clock_makes_equal_what_it_cannot_tell_apart() -> None:
    exact = latencies(90)
    latency = np.maximum(1, np.round(exact / np.median(exact) * 40)) * 10
    mean, _ = told(fitted(), suggested(fitted(), 40), latency)
    cases: dict[float, list[float]] = {10: [10, 20, 50], 0.01: [1.25, 2, 7], 0: [1.23456, 2, 3]}
    assert resolution([1, 2]) == 0
    assert all(resolution(values) == step for step, values in cases.items())
    np.testing.assert_allclose(mean / 10, np.round(mean / 10), atol=1e-6)


def test_a_stored_predictor_predicts_the_same(tmp_path: Path) -> None:
    latency, at = latencies(90, 0.05), suggested(fitted(), 10)
    for predictor in (fitted(), fitted(1)):
        predictor.save(tmp_path / "one")
        kind, state = read(tmp_path / "one")
        again = MetaBMA.of_state(state)
        assert kind == "metabma"
        for mine, others in zip(
            told(predictor, at, latency), told(again, at, latency), strict=True
        ):
            np.testing.assert_allclose(mine, others, rtol=1e-9)
        assert suggested(again, 5) == suggested(predictor, 5)
        assert sum(f.stat().st_size for f in (tmp_path / "one").iterdir()) < 500_000
    del state.arrays["linear.noise"]  # type: ignore[attr-defined]
    with pytest.raises(PredictError, match=r"linear\.noise"):
        MetaBMA.of_state(state)


CLASSES = """
from torch import nn
from hwnas import FunctionSpace

def make(input_shape, num_classes):
    def build(arch):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, arch["width"]),
                             nn.Linear(arch["width"], num_classes + 0))
    return FunctionSpace({"width": [4, 8, 16, 32], "bias": [True, False]}, build)
"""


def test_a_space_may_depend_on_the_number_of_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "classes.py").write_text(CLASSES)
    monkeypatch.syspath_prepend(str(tmp_path))
    reference = "classes:make"
    some = tuple(load_space(reference, (1, 8, 8), 10).enumerate())
    values = np.array([1.0 + arch["width"] for arch in some])
    predictor = MetaBMA(settings=50)
    predictor.fit(
        SourceTable(reference, some, {"one": values, "two": 2 * values}, {}, (1, 8, 8), 10)
    )
    predictor.save(tmp_path / "kept")
    again = load_predictor(tmp_path / "kept", reference)
    means = [one.adapt(some[:4], values[:4]).predict(some).mean for one in (predictor, again)]
    assert np.array_equal(*means)


def test_fitting_again_gives_the_same() -> None:
    again = MetaBMA(settings=300)
    again.fit(table())
    latency, at = latencies(90, 0.05), suggested(fitted(), 10)
    np.testing.assert_allclose(told(again, at, latency), told(fitted(), at, latency), rtol=1e-6)


def test_errors_say_what_is_wrong() -> None:
    one = archs()[0]
    with pytest.raises(PredictError, match="fit"):
        MetaBMA().adapt([one], [1.0])
    with pytest.raises(PredictError, match="fit"):
        MetaBMA().state()
    with pytest.raises(PredictError, match="2 latencies for 1"):
        fitted().adapt([one], [1.0, 2.0])
    with pytest.raises(PredictError):
        fitted().adapt([], [])
    with pytest.raises(PredictError, match="row 1"):
        fitted().adapt([one, archs()[1]], [1.0, float("nan")])
    with pytest.raises(PredictError, match="3 archs"):
        fitted().suggest(3, archs()[:2])
    with pytest.raises(ArchError):
        fitted().adapt([{"layer1": "k3_e1"}], [1.0])


FLOORS = {
    "nasbench201": {"titan_rtx_256": 0.995, "raspi4": 0.93, "eyeriss": 0.99},
}


@pytest.mark.parametrize("space", FLOORS)
def test_measured_devices(space: str) -> None:
    """Rank correlation over archs that no source measured, from ten measurements."""
    from benchmarks._help_protocol import adapted, designs, protocol

    on = protocol(space, data_path("help"))
    predictor = MetaBMA()
    predictor.fit(on.sources())
    asked = on.all[:: max(1, len(on.all) // 1000)]
    for device, floor in FLOORS[space].items():
        found = [
            score(
                adapted(predictor, on, device, at).predict([on.archs[i] for i in asked]),
                on.table.latencies[device][asked],
            )
            for at in designs(predictor, on, 10, 2)
        ]
        assert np.mean([s.spearman for s in found]) > floor, device
