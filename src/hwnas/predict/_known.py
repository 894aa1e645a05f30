"""What is known of latencies before a device has measured anything."""

from __future__ import annotations

from hwnas.errors import PredictError
from hwnas.predict._base import LatencyPredictor
from hwnas.predict._registry import make_predictor
from hwnas.predict._sources import SourceTable
from hwnas.space import SearchSpace

DEFAULT = "metabma"
"""The predictor that is fitted if nothing else is said."""


def known_predictor(
    space: str | SearchSpace,
    sources: SourceTable | None = None,
    *,
    method: str | None = None,
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
    seed: int = 0,
) -> LatencyPredictor:
    """A predictor that knows what there is to know of a space.

    Args:
        sources: latencies of other devices, of archs of that space; without them the predictor
            knows the physics of the networks alone.
        method: of the entry-point group `hwnas.predictors`; by default `DEFAULT`.

    Raises:
        PredictError: the sources are of another space, or the method cannot do with them.
    """
    if sources is None:
        sources = SourceTable(space, (), {}, {}, input_shape, num_classes)
    if sources.space != space:
        raise PredictError(f"the sources are latencies of '{sources.space}', not of '{space}'")
    if None not in (sources.input_shape, input_shape) and sources.input_shape != input_shape:
        raise PredictError(
            f"the sources have inputs of shape {sources.input_shape}, not {input_shape}"
        )
    predictor = make_predictor(method or DEFAULT, seed)
    predictor.fit(sources)
    return predictor
