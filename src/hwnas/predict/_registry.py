"""Predictors by name, and from disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hwnas import _plugins
from hwnas.predict._base import LatencyPredictor
from hwnas.predict._space_name import space_of
from hwnas.predict._stored import read
from hwnas.space import SearchSpace


def make_predictor(name: str, seed: int = 0, **options: Any) -> LatencyPredictor:
    """A predictor of the entry-point group `hwnas.predictors`, before it has learnt anything.

    Args:
        options: what else its constructor takes.

    Raises:
        UsageError: no predictor has that name.
    """
    predictor: LatencyPredictor = _plugins.load("predictors", name)(seed=seed, **options)
    return predictor


def load_predictor(folder: Path | str, space: str | SearchSpace | None = None) -> LatencyPredictor:
    """The predictor that `LatencyPredictor.save` wrote. Nothing in it is executed or unpickled.

    Args:
        space: the space it is expected to be of, by its name or reference, or the space itself. It
            must be given where it is of your own: a file from elsewhere shall not say what is
            imported.

    Raises:
        PredictError: there is none, it is of another space, was written by a newer version, or is
            damaged.
        UsageError: no predictor of its kind is installed.
    """
    kind, state = read(Path(folder))
    state = replace(state, space=space_of(str(state.space), space, f"the predictor in {folder}"))
    loaded: LatencyPredictor = _plugins.load("predictors", kind).of_state(state)
    return loaded
