"""The digits that come with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hwnas.tasks import Digits, _digits


def test_they_are_scikit_learns_digits() -> None:
    digits, reference = Digits(), load_digits()
    every = np.arange(1797)
    assert (digits.pixels("train", every)[:, 0] == reference.images).all()
    assert (digits.labels()["train"] == reference.target).all()


def test_they_load_where_scikit_learn_keeps_its_table_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = Digits().load(0)
    monkeypatch.setattr(_digits, "find_spec", lambda name: None)
    assert (Digits().load(0).train.x == expected.train.x).all()


def test_sixty_twenty_twenty() -> None:
    data, test = Digits().load(0), Digits().test(0)
    assert [len(data.train), len(data.valid), len(test)] == pytest.approx([1078, 359, 360], abs=5)
