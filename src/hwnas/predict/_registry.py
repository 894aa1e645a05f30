"""Predictors by name, and from disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hwnas import _plugins
from hwnas.errors import PredictError
from hwnas.predict._base import LatencyPredictor
from hwnas.predict._stored import OBJECT, read
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
    written = str(state.space)
    if isinstance(space, SearchSpace):
        if written.startswith(OBJECT) and written != OBJECT + space.fingerprint:
            raise PredictError(f"the predictor in {folder} is of another space")
        if ":" in written:
            state = replace(state, space=space)
    elif space is not None and space != written:
        raise PredictError(f"the predictor in {folder} is of the space '{written}', not '{space}'")
    elif space is None and ":" in written:
        raise PredictError(
            f"the predictor in {folder} is of '{written}', which is code of its own; "
            "give the space if it is yours"
        )
    loaded: LatencyPredictor = _plugins.load("predictors", kind).of_state(state)
    return loaded
