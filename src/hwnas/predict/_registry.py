"""Predictors by name, and from disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwnas import _plugins
from hwnas.errors import PredictError
from hwnas.predict._base import LatencyPredictor
from hwnas.predict._stored import read


def make_predictor(name: str, seed: int = 0, **options: Any) -> LatencyPredictor:
    """A predictor of the entry-point group `hwnas.predictors`, before it has learnt anything.

    Args:
        options: what else its constructor takes.

    Raises:
        UsageError: no predictor has that name.
    """
    predictor: LatencyPredictor = _plugins.load("predictors", name)(seed=seed, **options)
    return predictor


def load_predictor(folder: Path | str, space: str | None = None) -> LatencyPredictor:
    """The predictor that `LatencyPredictor.save` wrote. Nothing in it is executed or unpickled.

    Args:
        space: the space it is expected to be of. It must be given where that is code of your own
            (`module:name`): a file from elsewhere shall not say what is imported.

    Raises:
        PredictError: there is none, it is of another space, was written by a newer version, or is
            damaged.
        UsageError: no predictor of its kind is installed.
    """
    kind, state = read(Path(folder))
    if space is not None and space != state.space:
        raise PredictError(
            f"the predictor in {folder} is of the space '{state.space}', not '{space}'"
        )
    if space is None and ":" in state.space:
        raise PredictError(
            f"the predictor in {folder} is of '{state.space}', which is code to be imported; "
            "give the space if it is yours"
        )
    loaded: LatencyPredictor = _plugins.load("predictors", kind).of_state(state)
    return loaded
