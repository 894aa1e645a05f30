"""What every latency predictor promises, for each that is installed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hwnas import _plugins
from hwnas.errors import ArchError, PredictError
from hwnas.predict import (
    AdditivePredictor,
    DevicePredictor,
    LatencyPredictor,
    MetaSchedule,
    SourceTable,
    load_predictor,
    make_predictor,
)
from hwnas.space import Arch
from hwnas.zoo import load_space

NAMES = _plugins.names("predictors")
SPACES = ("digits_cnn", "nasbench201")
_META = {"schedule": MetaSchedule(episodes=3, tasks=2, queries=20), "width": 8, "device": "cpu"}
QUICK: dict[str, dict[str, Any]] = {
    "brp-nas": {"hidden": 16, "epochs": 4, "device": "cpu"},
    "help": _META,
    "metabma": {"settings": 300},
    "maml": _META,
    "meta-sgd": _META,
}
"""Options of members that train for long; how well they then predict is not asked."""
N = 12
"""Measurements that a device adapts to."""

pytestmark = [
    pytest.mark.parametrize("name", NAMES),
    pytest.mark.parametrize("space", SPACES),
]


@cache
def archs_of(space: str) -> tuple[Arch, ...]:
    """50 different archs."""
    rng, opened = np.random.default_rng(0), load_space(space)
    found: dict[str, Arch] = {}
    while len(found) < 50:
        arch = opened.sample(rng)
        found[str(arch)] = arch
    return tuple(found.values())


WORK = {"none": 0.0, "skip_connect": 0.3, "nor_conv_1x1": 1, "nor_conv_3x3": 4, "avg_pool_3x3": 1}


def latency_on(device: int, archs: Sequence[Arch]) -> np.ndarray:
    """What the choices of an arch take, more or less for each device."""

    def work(label: str, value: object) -> float:
        own = np.random.default_rng([device, *f"{label}={value}".encode()]).uniform(0.7, 1.3)
        return own * (WORK[value] if isinstance(value, str) else float(value))  # type: ignore[arg-type]

    return (1 + device) * np.array([2.0 + sum(work(*one) for one in a.items()) for a in archs])


@cache
def sources(space: str) -> SourceTable:
    """Three devices on the first 40 archs; one has a gap."""
    archs = archs_of(space)[:40]
    latencies = {f"device{k}": latency_on(k, archs) for k in range(3)}
    latencies["device1"][7] = np.nan
    return SourceTable(space, archs, latencies)


def made(name: str, seed: int = 0) -> LatencyPredictor:
    return make_predictor(name, seed, **QUICK.get(name, {}))


@cache
def fitted(name: str, space: str) -> LatencyPredictor:
    predictor = made(name)
    predictor.fit(sources(space))
    return predictor


@cache
def measured(name: str, space: str) -> tuple[Arch, ...]:
    """What the member wants measured."""
    return tuple(fitted(name, space).suggest(N, archs_of(space)))


@cache
def adapted(name: str, space: str) -> DevicePredictor:
    archs = measured(name, space)
    return fitted(name, space).adapt(archs, latency_on(9, archs).tolist())


def same(a: DevicePredictor, b: DevicePredictor, archs: Sequence[Arch]) -> None:
    first, second = a.predict(archs), b.predict(archs)
    np.testing.assert_allclose(first.mean, second.mean, rtol=1e-4)
    np.testing.assert_allclose(first.std, second.std, rtol=1e-3, atol=1e-9)


def test_predictions_are_positive_and_know_their_error(name: str, space: str) -> None:
    archs = archs_of(space)
    found = adapted(name, space).predict(archs)
    for values in (found.mean, found.std):
        assert values.shape == (len(archs),)
        assert values.dtype == np.float64
        assert np.isfinite(values).all()
    assert (found.mean > 0).all()
    assert (found.std > 0).all()
    if name not in QUICK:
        assert np.corrcoef(found.mean, latency_on(9, archs))[0, 1] > 0.3


def test_an_arch_is_predicted_alike_in_any_company(name: str, space: str) -> None:
    archs, device = archs_of(space)[20:40], adapted(name, space)
    whole = device.predict(archs)
    for part in (archs[:1], archs[::-1], (archs[3], archs[3], archs[0])):
        some = device.predict(part)
        at = [archs.index(arch) for arch in part]
        np.testing.assert_allclose(some.mean, whole.mean[at], rtol=1e-4)
        np.testing.assert_allclose(some.std, whole.std[at], rtol=1e-3, atol=1e-9)
    none = device.predict([])
    assert none.mean.shape == none.std.shape == (0,)


def test_equal_calls_give_equal_results_and_leave_generators_alone(name: str, space: str) -> None:
    archs = measured(name, space)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    other = made(name)
    other.fit(sources(space))
    again = other.adapt(archs, latency_on(9, archs).tolist())
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # type: ignore[index]
    same(adapted(name, space), again, archs_of(space)[20:])
    candidates = archs_of(space)
    assert other.suggest(5, candidates) == fitted(name, space).suggest(5, candidates)


def test_what_was_learnt_before_is_forgotten(name: str, space: str) -> None:
    predictor = made(name)
    predictor.fit(replace(sources(space), latencies={"odd": latency_on(5, sources(space).archs)}))
    predictor.fit(sources(space))
    archs = measured(name, space)
    again = predictor.adapt(archs, latency_on(9, archs).tolist())
    same(adapted(name, space), again, archs_of(space)[20:])


def test_suggestions_are_different_candidates_and_nested(name: str, space: str) -> None:
    predictor, candidates = fitted(name, space), archs_of(space)
    ten = predictor.suggest(10, candidates)
    assert len(ten) == len({str(arch) for arch in ten}) == 10
    assert all(arch in candidates for arch in ten)
    assert predictor.suggest(4, candidates) == ten[:4]
    done = [(arch, float(ms)) for arch, ms in zip(ten, latency_on(9, ten), strict=True)]
    left = [arch for arch in candidates if arch not in ten]
    more = predictor.suggest(3, left, measured=done)
    assert len({str(arch) for arch in more}) == 3
    assert all(arch in left for arch in more)


def test_a_stored_predictor_predicts_the_same(name: str, space: str, tmp_path: Path) -> None:
    predictor, archs = fitted(name, space), measured(name, space)
    predictor.save(tmp_path / "one")
    loaded = load_predictor(tmp_path / "one")
    assert type(loaded) is type(predictor)
    assert (loaded.name, loaded.space) == (name, space)
    again = loaded.adapt(archs, latency_on(9, archs).tolist())
    same(adapted(name, space), again, archs_of(space)[20:])
    candidates = archs_of(space)
    assert loaded.suggest(5, candidates) == predictor.suggest(5, candidates)


def test_a_state_that_lacks_something_is_one_clear_error(name: str, space: str) -> None:
    state = fitted(name, space).state()
    kind = type(fitted(name, space))
    for field, other in (("settings", None), ("arrays", np.zeros((1, 2, 3, 4, 5)))):
        whole = getattr(state, field)
        for number, lost in enumerate(list(whole)[:5]):
            part = {key: value for key, value in whole.items() if key != lost}
            if number % 2:
                part[lost] = other
            with pytest.raises(PredictError):
                kind.of_state(replace(state, **{field: part}))


def test_nothing_is_done_before_fit(name: str, space: str, tmp_path: Path) -> None:
    predictor, archs = made(name), archs_of(space)[:N]
    with pytest.raises(PredictError, match="fit"):
        predictor.adapt(archs, [1.0] * N)
    with pytest.raises(PredictError, match="fit"):
        predictor.suggest(2, archs)
    with pytest.raises(PredictError, match="fit"):
        predictor.save(tmp_path / "one")
    assert not list(tmp_path.iterdir())


def test_a_table_without_devices_tells_the_space(name: str, space: str) -> None:
    predictor, archs = made(name), archs_of(space)[:N]
    table = SourceTable(space, (), {})
    if predictor.needs_sources:
        with pytest.raises(PredictError):
            predictor.fit(table)
        return
    predictor.fit(table)
    found = predictor.adapt(archs, latency_on(9, archs).tolist()).predict(archs_of(space))
    assert (found.mean > 0).all()
    assert len(predictor.suggest(3, archs)) == 3


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_latency_that_is_none_is_named(name: str, space: str, wrong: float) -> None:
    archs = measured(name, space)
    latencies = [*latency_on(9, archs[:-1]).tolist(), wrong]
    with pytest.raises(PredictError, match=str(N - 1)):
        fitted(name, space).adapt(archs, latencies)


def test_too_few_or_too_many_latencies_are_told(name: str, space: str) -> None:
    archs = measured(name, space)
    with pytest.raises(PredictError):
        fitted(name, space).adapt([], [])
    with pytest.raises(PredictError, match=r"13.*12|12.*13"):
        fitted(name, space).adapt(archs, [1.0] * 13)


def test_archs_of_another_space_are_refused(name: str, space: str) -> None:
    archs = measured(name, space)
    for wrong in ({"depth": 3}, {}, archs_of(SPACES[space == SPACES[0]])[0]):
        with pytest.raises(ArchError):
            adapted(name, space).predict([archs[0], wrong])
        with pytest.raises(ArchError):
            fitted(name, space).adapt([*archs[:-1], wrong], [1.0] * N)


def test_equal_latencies_are_no_trouble(name: str, space: str) -> None:
    """A coarse timer gives the same number for every arch."""
    archs = measured(name, space)
    found = fitted(name, space).adapt(archs, [3.0] * N).predict(archs_of(space))
    assert np.isfinite(found.mean).all()
    assert (found.mean > 0).all()
    assert (found.std >= 0).all()


def test_threads_may_ask_at_once(name: str, space: str) -> None:
    device, archs = adapted(name, space), archs_of(space)
    parts = [archs[k::4] for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(device.predict, parts))
    whole = device.predict(archs)
    for k, one in enumerate(found):
        np.testing.assert_allclose(one.mean, whole.mean[k::4], rtol=1e-4)


def test_a_sum_says_the_same_as_a_table(name: str, space: str) -> None:
    device = adapted(name, space)
    if not isinstance(device, AdditivePredictor):
        pytest.skip("it is no sum")
    opened = load_space(space)
    table = device.to_table(opened)
    archs = archs_of(space)
    np.testing.assert_allclose(table.evaluate(opened.encode(archs)), device.predict(archs).mean)
    with pytest.raises(PredictError, match="another space"):
        device.to_table(load_space(SPACES[space == SPACES[0]]))
