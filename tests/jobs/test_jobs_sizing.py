"""How many devices a search needs."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import UsageError
from hwnas.jobs import sizing
from hwnas.jobs._queue.sizing import MeasuredIn, Pace


@pytest.mark.parametrize(
    ("asked", "throughput", "burst"),
    [
        ((45, 45, 1, 10), 1, 5),
        ((45, 45, 1, 60), 1, 1),
        ((10, 5, 2, 10), 4, 2),
        ((3, 0.3, 0.1, 1), 1, 1),  # ratios that binary fractions miss by a hair
        ((1, 100, 0.01, 10), 1, 1),
    ],
)
def test_known_cases(asked: tuple[float, ...], throughput: int, burst: int) -> None:
    found = sizing(*asked)  # type: ignore[arg-type]
    assert (found.throughput, found.burst) == (throughput, burst)


@given(
    st.integers(1, 500),
    st.floats(0.1, 500),
    st.floats(0.01, 10),
    st.floats(10, 100),
)
def test_the_devices_are_enough_and_one_less_is_not(
    parallel: int, train: float, evaluate: float, timeout: float
) -> None:
    found = sizing(parallel, train, evaluate, timeout)

    def enough(devices: int) -> bool:
        keeps_up = parallel * evaluate <= devices * train * (1 + 1e-9)
        return keeps_up and math.ceil(parallel / devices) * evaluate <= timeout * (1 + 1e-9)

    assert enough(found.devices)
    assert found.devices == 1 or not enough(found.devices - 1)
    assert found.waiting <= timeout * (1 + 1e-9)


@pytest.mark.parametrize("asked", [(0, 1, 1), (1, 0, 1), (1, 1, -1), (1, 1, math.nan), (1, 1, 11)])
def test_what_makes_no_sense(asked: tuple[float, ...]) -> None:
    with pytest.raises(UsageError):
        sizing(*asked)  # type: ignore[arg-type]


def test_a_job_says_what_it_needs_by_its_own_times() -> None:
    pace = Pace(parallel=8)
    assert pace.summary() == pace.too_few() == []
    for _ in range(3):
        assert pace.sizing("pixel") is None
        pace.add(60.0, {"pixel": MeasuredIn(45.0, 30.0, 2), "local": MeasuredIn(1.0, 1.0)})
    found = pace.sizing("pixel")
    assert found is not None
    assert found.throughput == 4  # 8 trials x 30 s / 60 s
    assert pace.sizing("local") is None
    (line,) = pace.too_few()
    assert line == (
        "too few devices: 'pixel' needs 4 to keep up with 8 trials at a time, and 2 serve it "
        "(mean times: training 60 s, measuring 30 s, 45 s with the queue); trials wait for them"
    )
    assert pace.too_few() == []  # once
    assert len(pace.summary()) == 1
    enough = Pace(parallel=1)
    for _ in range(3):
        enough.add(0.0, {"pixel": MeasuredIn(0.0, 0.0, 1)})
    assert enough.too_few() == []


def test_the_command(hwnas) -> None:
    options = ("--parallel-trials", "45", "--train-minutes", "45", "--evaluate-minutes", "1")
    told = hwnas("plan", *options).stdout
    assert told.startswith("5 devices")
    assert json.loads(hwnas("plan", *options, "--json").stdout)["devices"] == 5
    short = hwnas("plan", *options[:-2], check=False)
    assert short.returncode == 2
    assert "or a job: --job JOB" in short.stderr
    wrong = hwnas("plan", *options[:-1], "0", check=False)
    assert wrong.returncode == 2
    assert "must be positive" in wrong.stderr
