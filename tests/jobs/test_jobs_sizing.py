"""How many devices a search needs."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import UsageError
from hwnas.jobs import sizing


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


def test_the_command(hwnas) -> None:
    options = ("--parallel-trials", "45", "--train-minutes", "45", "--evaluate-minutes", "1")
    told = hwnas("plan", *options).stdout
    assert told.startswith("5 devices")
    assert json.loads(hwnas("plan", *options, "--json").stdout)["devices"] == 5
    wrong = hwnas("plan", *options[:-1], "0", check=False)
    assert wrong.returncode == 2
    assert "must be positive" in wrong.stderr
