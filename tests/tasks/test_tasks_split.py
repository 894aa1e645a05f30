"""Splits and samples by seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import DataError
from hwnas.tasks._split import sample, split

seeds = st.integers(0, 2**32)
fractions = st.fixed_dictionaries({"valid": st.floats(0.01, 0.9)}) | st.fixed_dictionaries(
    {"valid": st.floats(0.01, 0.79), "test": st.just(0.2)}
)


@st.composite
def labelled(draw: st.DrawFn) -> np.ndarray:
    counts = draw(st.lists(st.integers(3, 40), min_size=1, max_size=6))
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(draw(seeds)).permutation(labels)


@given(labelled(), fractions, seeds)
def test_a_split_is_a_stratified_partition(
    labels: np.ndarray, shares: dict[str, float], seed: int
) -> None:
    names = [str(label) for label in range(labels.max() + 1)]
    dealt = split(labels, shares, seed, names, "the data")
    assert set(dealt) == {"train", *shares}
    assert sorted(np.concatenate(list(dealt.values()))) == list(range(len(labels)))
    for rows in dealt.values():
        assert (np.diff(rows) > 0).all()
        assert set(labels[rows]) == set(labels)
    sizes = np.bincount(labels)
    for name, share in shares.items():
        taken = np.bincount(labels[dealt[name]])
        wanted = np.maximum(1, np.round(share * sizes))
        assert (taken <= wanted).all()
        lacking = taken < wanted  # only where the rest would have had nothing
        assert (np.bincount(labels[dealt["train"]])[lacking] == 1).all()
    again = split(labels, shares, seed, names, "the data")
    assert all((dealt[name] == again[name]).all() for name in dealt)


@given(labelled(), st.data(), seeds)
def test_a_sample_keeps_every_class_in_proportion(
    labels: np.ndarray, data: st.DataObject, seed: int
) -> None:
    everything = np.arange(len(labels))
    classes = labels.max() + 1
    limit = data.draw(st.integers(int(classes), len(labels) + 5))
    rows = sample(labels, everything, limit, seed)
    assert len(rows) == min(limit, len(labels))
    assert len(set(rows.tolist())) == len(rows)
    counts = np.bincount(labels[rows], minlength=classes)
    assert (counts >= 1).all()
    ideal = np.bincount(labels) * min(1, limit / len(labels))
    assert (counts <= np.maximum(1, np.ceil(ideal))).all()


def test_a_class_too_small_to_split_is_named() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    with pytest.raises(DataError, match="somewhere: class 'b' has 2 training images, at least 3"):
        split(labels, {"valid": 0.2, "test": 0.2}, 0, ["a", "b"], "somewhere")
    split(labels, {"valid": 0.2}, 0, ["a", "b"], "somewhere")
