"""Values of flags: taken as Vertex's client takes them, refused where it goes on with nonsense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import UsageError
from hwnas.vertex._flags import (
    as_words,
    check_worker,
    pass_through,
    trial_numbers,
)

NAMES = st.text("abcdefghijklmnopqrstuvwxyz_-0123456789", min_size=1).filter(
    lambda name: not name.startswith("-")
)


@given(st.dictionaries(NAMES, st.text()))
def test_flags_pass_through_unchanged(flags: dict[str, str]) -> None:
    """A value may hold anything, `=` included."""
    pairs = [f"{name}={value}" for name, value in flags.items()]
    assert pass_through(pairs, "--search_docker_flags") == flags
    assert as_words(flags) == [f"--{pair}" for pair in pairs]


def test_the_first_equals_sign_divides_and_the_last_of_a_name_counts() -> None:
    flags = pass_through(["data=gs://b/x=1/y", "n=1", "n=2"], "--search_docker_flags")
    assert flags == {"data": "gs://b/x=1/y", "n": "2"}


@pytest.mark.parametrize("pair", ["epochs", "=2", "", "--epochs=2", "-e=2"])
def test_what_is_no_pair_is_refused(pair: str) -> None:
    with pytest.raises(UsageError, match=r"--train_docker_flags: .* name=value"):
        pass_through(["a=1", pair], "--train_docker_flags")


@given(st.lists(st.integers(1, 10**6), min_size=1, unique=True))
def test_trial_numbers(numbers: list[int]) -> None:
    assert trial_numbers(",".join(map(str, numbers))) == tuple(numbers)


@pytest.mark.parametrize("text", ["", "1,", "0", "-1", "1;2", "best"])
def test_other_trials_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="numbers of trials"):
        trial_numbers(text)


def test_a_trial_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="9 is named twice"):
        trial_numbers("9,1,9")


@given(st.integers(-3, 6), st.integers(-2, 5))
def test_workers_have_their_place(worker: int, of: int) -> None:
    if 0 <= worker < of:
        check_worker(worker, of)
    else:
        with pytest.raises(UsageError, match=r"--(latency_worker_id|num_latency_workers)"):
            check_worker(worker, of)
