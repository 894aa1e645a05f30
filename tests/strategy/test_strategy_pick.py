"""Picks under a latency limit: true to the limit once measured, and never empty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hwnas.cost import CostTable, RangeFilter
from hwnas.errors import PredictError
from hwnas.predict import DevicePredictor, Prediction
from hwnas.space import Arch, FunctionSpace
from hwnas.strategy import Candidates, Picks, pick_under, search_under


class Told(DevicePredictor):
    """Predicts by a function of the arch."""

    def __init__(self, mean: Any, std: Any = lambda arch: 0.0) -> None:
        self.mean, self.std = mean, std

    def predict(self, archs: Sequence[Arch]) -> Prediction:
        columns = [[float(f(arch)) for arch in archs] for f in (self.mean, self.std)]
        return Prediction(*map(np.array, columns))


class Device:
    """Knows the true latency of each numbered arch, and counts how often it is asked."""

    def __init__(self, truth: Sequence[float]) -> None:
        self.truth = truth
        self.asked: list[int] = []

    def __call__(self, arch: Arch) -> float:
        self.asked.append(int(arch["number"]))
        return self.truth[self.asked[-1]]


def archs(count: int) -> list[Arch]:
    return [{"number": number} for number in range(count)]


latencies = st.floats(0.1, 100.0)
tables = st.lists(
    st.tuples(st.integers(0, 9), latencies, latencies, st.floats(0.0, 20.0)),
    min_size=1,
    max_size=30,
)
"""(score, predicted mean, true latency, predicted standard deviation) of each candidate."""


def picked(table: list[tuple[int, float, float, float]], limit: float, **options: Any) -> Picks:
    predictor = Told(lambda a: table[a["number"]][1], lambda a: table[a["number"]][3])
    return pick_under(archs(len(table)), [row[0] for row in table], predictor, limit, **options)


@given(tables, st.floats(0.1, 100.0), st.integers(1, 6))
def test_a_measured_pick_is_true(table: Any, limit: float, finalists: int) -> None:
    """Whatever the predictor says: the pick was measured, and what it claims holds in truth."""
    device = Device([row[2] for row in table])
    picks = picked(table, limit, measure=device, finalists=finalists)
    truth = device.truth[picks.best.index]
    assert picks.best.measured == picks.best.latency == truth
    assert picks.feasible == (truth <= limit)
    assert picks.best.margin == pytest.approx((limit - truth) / limit)
    assert [pick.index for pick in picks.measured] == device.asked
    assert len(set(device.asked)) == len(device.asked)
    kept = [place for place in device.asked if device.truth[place] <= limit]
    if kept:
        assert picks.best.score == max(table[place][0] for place in kept)
        assert len(picks.violations) == len(device.asked) - len(kept)
    else:
        assert truth == min(device.truth[place] for place in device.asked)
        assert len(device.asked) >= min(finalists, len(table))


@given(tables, st.floats(0.1, 100.0), st.booleans())
def test_a_perfect_predictor_finds_the_best(table: Any, limit: float, measured: bool) -> None:
    exact = [(score, true, true, 0.0) for score, _, true, _ in table]
    device = Device([row[2] for row in exact])
    picks = picked(exact, limit, measure=device if measured else None)
    inside = [row for row in exact if row[2] <= limit]
    assert picks.promised == len(inside)
    assert picks.feasible == bool(inside)
    if inside:
        assert picks.best.score == max(row[0] for row in inside)
        assert not picks.violations
        assert len(device.asked) == measured
    else:
        assert picks.best.latency == min(row[2] for row in exact)


@given(tables, st.floats(0.1, 100.0), st.sampled_from([0.5, 0.8, 0.95]))
def test_unmeasured_picks_are_judged_by_their_upper_bound(
    table: Any, limit: float, confidence: float
) -> None:
    picks = picked(table, limit, confidence=confidence)
    z = {0.5: 0.0, 0.8: 0.8416212, 0.95: 1.6448536}[confidence]
    bounds = [row[1] + z * row[3] for row in table]
    assert picks.best.latency == pytest.approx(bounds[picks.best.index])
    assert picks.measured == ()
    inside = [row[0] for row, bound in zip(table, bounds, strict=True) if bound <= limit]
    if picks.feasible:
        assert picks.best.score == max(inside)
    else:
        assert picks.best.latency == pytest.approx(min(bounds))


@given(st.lists(latencies, min_size=1, max_size=30), latencies)
def test_with_enough_measurements_a_wrong_predictor_does_no_harm(
    truth: list[float], limit: float
) -> None:
    """As many finalists as candidates, of equal score: one that keeps the limit is found."""
    table = [(1, 100.0 - true, true, 1.0) for true in truth]
    picks = picked(table, limit, measure=Device(truth), finalists=len(truth), confidence=0.95)
    assert picks.feasible == (min(truth) <= limit)


def test_the_first_finalist_is_safe_and_the_others_are_bold() -> None:
    #         score, mean, truth, std
    table = [(70, 5.0, 5.0, 1.0), (71, 9.5, 9.6, 1.0), (72, 10.2, 9.9, 1.0), (80, 30.0, 30.0, 1.0)]
    device = Device([row[2] for row in table])
    picks = picked(table, 10.0, measure=device)
    assert device.asked == [0, 2]  # 2 promises more than 1, and 3 is hopeless
    assert picks.best.index == 2
    assert picks.promised == 1


def test_it_goes_on_to_faster_candidates_when_no_finalist_keeps_the_limit() -> None:
    table = [(100 - i, 9.0 - 0.1 * i, 20.0 if i < 12 else 9.9, 0.1) for i in range(40)]
    device = Device([row[2] for row in table])
    picks = picked(table, 10.0, measure=device, finalists=3)
    assert picks.best.index == 12
    assert device.asked == list(range(13))


def test_equal_archs_are_measured_once() -> None:
    device = Device([20.0])
    predictor = Told(lambda arch: 5.0)
    picks = pick_under([{"number": 0}] * 6, [1, 2, 3, 3, 2, 1], predictor, 10.0, measure=device)
    assert device.asked == [0]
    assert picks.best.score == 3
    assert picks.promised == 1
    assert not picks.feasible
    assert picks.best.margin == pytest.approx(-1)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"candidates": []}, "no candidate"),
        ({"scores": [1.0]}, "2 candidates and 1 scores"),
        ({"scores": [1.0, float("nan")]}, "the score of candidate 2 is nan"),
        ({"limit": 0.0}, "limit is 0.0"),
        ({"confidence": 1.0}, "confidence is 1.0"),
        ({"finalists": 0}, "finalists is 0"),
        ({"measure": lambda arch: float("nan")}, "the measured latency of"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], part: str) -> None:
    given = {"candidates": archs(2), "scores": [1.0, 2.0], "limit": 10.0, **change}
    with pytest.raises(PredictError, match=part):
        pick_under(predictor=Told(lambda arch: 5.0), **given)


def test_evolution_finds_the_best_arch_under_a_limit() -> None:
    """4^10 archs, score and latency additive: the best under the limit is known."""
    space = FunctionSpace({f"d{i}": [0, 1, 2, 3] for i in range(10)}, lambda a: nn.Identity())
    worth = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])

    def score(archs: Sequence[Arch]) -> np.ndarray:
        return space.encode(archs) @ worth

    predictor = Told(lambda arch: 1.0 + sum(arch.values()), lambda arch: 0.1)
    picks = search_under(
        Candidates(space), score, predictor, 16.2, population=40, children=20, generations=60
    )
    # 15 steps, 3 on each of the five best.
    assert picks.best.score == 3 * (10 + 9 + 8 + 7 + 6)
    assert picks.feasible
    again = search_under(
        Candidates(space), score, predictor, 16.2, population=40, children=20, generations=60
    )
    assert again == picks


def test_evolution_keeps_the_other_limits_and_is_never_empty() -> None:
    space = FunctionSpace({f"d{i}": [0, 1, 2, 3] for i in range(6)}, lambda a: nn.Identity())
    parts = [([d.label], lambda arch: float(sum(arch.values()))) for d in space.decisions]
    total = CostTable.of("total", space, parts)
    picks = search_under(
        Candidates(space, [RangeFilter(total, min=12)]),
        lambda archs: space.encode(archs).sum(1),
        Told(lambda arch: sum(arch.values())),
        8.0,
        population=10,
        children=10,
        generations=20,
    )
    assert not picks.feasible
    assert picks.best.latency == 12.0
    assert picks.best.margin == pytest.approx(-0.5)


def test_a_small_space_is_passed_through_whole() -> None:
    space = FunctionSpace({f"d{i}": [0, 1, 2, 3] for i in range(4)}, lambda a: nn.Identity())
    asked: list[int] = []

    def score(archs: Sequence[Arch]) -> np.ndarray:
        asked.append(len(archs))
        return space.encode(archs) @ np.array([1, 2, 4, 8])

    predictor = Told(lambda arch: 1.0 + sum(arch.values()))
    picks = search_under(Candidates(space), score, predictor, 8.0)
    assert asked == [256]
    assert picks.best.score == 3 * 8 + 3 * 4 + 2
