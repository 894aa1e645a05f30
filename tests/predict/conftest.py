"""Predictors and devices for tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from plain_predictor import Plain

from hwnas import _plugins
from hwnas.device import MeasurementStore


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """`plain` is one of the predictors."""
    load = _plugins.load
    monkeypatch.setattr(
        _plugins,
        "load",
        lambda family, name: (
            Plain if (family, name) == ("predictors", "plain") else load(family, name)
        ),
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MeasurementStore]:
    with MeasurementStore(tmp_path / "measurements.sqlite") as opened:
        yield opened
