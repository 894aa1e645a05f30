"""The correction of estimates by a few measured networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.device import Calibration
from hwnas.errors import DeviceError

POSITIVE = st.floats(0.01, 100)


@given(
    st.lists(POSITIVE, min_size=4, max_size=20, unique=True),
    st.floats(0, 10),
    st.floats(0.1, 10),
)
def test_a_line_is_found_again(x: list[float], offset: float, slope: float) -> None:
    if max(x) / min(x) < 1.5:
        x.append(2 * max(x))
    y = [offset + slope * value for value in x]
    line = Calibration.fit(x, y)
    assert line.slope == pytest.approx(slope, rel=1e-4)
    assert line.apply(max(x)).value == pytest.approx(max(y), rel=1e-4)


def networks(n: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimates, latencies and FLOPs that say less."""
    draw = np.random.default_rng(seed)
    truth = draw.uniform(2, 8, n)
    measured = truth * (1 + draw.normal(0, noise, n))
    return (truth - 0.5) / 0.8, measured, 1e8 * truth * (1 + draw.normal(0, 0.1, n))


def test_the_held_out_error_is_that_of_networks_not_measured() -> None:
    errors, stated, covered = [], [], []
    for seed in range(40):
        x, y, _ = networks(210, 0.03, seed)
        chosen = Calibration.choose(x.tolist(), 10)
        line = Calibration.fit(x[chosen], y[chosen])
        others = np.setdiff1d(np.arange(210), chosen)
        predictions = [line.apply(value) for value in x[others]]
        away = np.array([one.value for one in predictions]) / y[others] - 1
        errors.append(np.abs(away).mean())
        stated.append(line.error)
        one_std = np.array([one.std / one.value for one in predictions])
        covered.append((np.abs(away) <= 1.96 * one_std).mean())
        low, high = line.error_interval()
        assert low <= line.error <= high
    assert np.mean(stated) == pytest.approx(np.mean(errors), rel=0.2)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.05)


def test_the_baseline_stands_beside_it() -> None:
    x, y, flops = networks(30, 0.01)
    line = Calibration.fit(x, y, baseline=flops)
    assert line.baseline is not None
    assert line.error < line.baseline.error
    assert line.within(0.1) == 1.0
    assert 0 < line.apply(5.0).std / line.apply(5.0).value < 0.02
    one = line.baseline.apply(5e8)
    assert 0.05 < one.std / one.value < 0.2
    assert line.baseline.within(0.05) < 1.0


def test_a_baseline_that_says_nothing_is_no_error() -> None:
    x, y, _ = networks(10, 0.01)
    line = Calibration.fit(x, y, baseline=[1.0] * 10)
    assert line.baseline is not None
    assert line.baseline.slope == 0
    assert line.baseline.apply(1.0).value == pytest.approx(np.average(y, weights=1 / y**2))


@given(st.lists(POSITIVE, min_size=1, max_size=50), st.integers(1, 12))
def test_the_chosen_are_spread_over_the_candidates(values: list[float], n: int) -> None:
    chosen = Calibration.choose(values, n)
    assert len(set(chosen)) == len(chosen) == min(n, len(values))
    assert [values[i] for i in chosen] == sorted(values[i] for i in chosen)
    if len(chosen) > 1:
        assert {min(values), max(values)} <= {values[i] for i in chosen}


def test_the_chosen_are_not_where_most_candidates_are() -> None:
    crowd = [1 + i * 1e-4 for i in range(1000)]
    chosen = Calibration.choose([*crowd, 2.0, 3.0, 4.0], 4)
    assert chosen == [0, 1000, 1001, 1002]


def test_it_is_kept_in_a_file(tmp_path: Path) -> None:
    x, y, flops = networks(10, 0.02)
    line = Calibration.fit(x, y, baseline=flops)
    line.save(tmp_path / "line.json")
    assert Calibration.load(tmp_path / "line.json") == line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 9}, "schema"),
        ({"slope": -1.0}, "negative"),
        ({"errors": []}, "no errors"),
        ({"spread": [1.0]}, "malformed"),
        ({"offset": "far"}, "malformed"),
    ],
)
def test_a_spoilt_file_is_an_error(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "line.json"
    Calibration.fit(*networks(10, 0.02)[:2]).save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DeviceError, match=message):
        Calibration.load(path)


def test_a_file_that_is_not_there_or_not_whole_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot be read"):
        Calibration.load(tmp_path / "line.json")
    (tmp_path / "line.json").write_text('{"schema": 1}')
    with pytest.raises(DeviceError, match="malformed"):
        Calibration.load(tmp_path / "line.json")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 2], [1, 2], "needs three"),
        ([1, 2, 3], [1, 2], "3 estimates for 2"),
        ([1, 2, 3], [1, 0, 3], "positive"),
        ([1, 2, float("nan")], [1, 2, 3], "finite"),
        ([1, 2, 3], [3, 2, 1], "do not grow"),
        ([1, 1, 1], [3, 2, 1], "do not grow"),
    ],
)
def test_what_cannot_be_fitted_is_an_error(x: list[float], y: list[float], message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        Calibration.fit(x, y)


def test_a_latency_is_never_zero_or_less() -> None:
    line = Calibration.fit([10, 20, 30], [1, 11, 21])
    with pytest.raises(DeviceError, match="too far"):
        line.apply(5)
