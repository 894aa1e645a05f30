"""Predictors that come with hwnas, learnt from published latencies."""

from __future__ import annotations

from pathlib import Path

from hwnas.errors import PredictError
from hwnas.predict._base import LatencyPredictor
from hwnas.predict._registry import load_predictor

PRIORS = Path(__file__).parent / "priors"
"""A folder for each space: the stored predictor, and `card.md`, which says what it was made of."""

_CARD = "card.md"


def prior_spaces() -> tuple[str, ...]:
    """The spaces of the zoo that a prior comes with."""
    return tuple(sorted(card.parent.name for card in PRIORS.glob(f"*/{_CARD}")))


def load_prior(space: str, input_shape: tuple[int, ...] | None = None) -> LatencyPredictor:
    """The predictor of a space that has learnt from published latencies already.

    Args:
        space: one of `prior_spaces`.
        input_shape: (C, H, W) of the networks to predict, if it is known.

    Raises:
        PredictError: there is none for the space, or it is about inputs of another shape.
    """
    predictor = load_predictor(_folder(space), space)
    known = predictor.input_shape
    if None not in (known, input_shape) and known != input_shape:
        raise PredictError(f"the prior of '{space}' is about inputs {known}, not {input_shape}")
    return predictor


def prior_card(space: str) -> str:
    """What a prior was made of, how good it is and what it does not know, as Markdown.

    Raises:
        PredictError: there is none for the space.
    """
    return (_folder(space) / _CARD).read_text(encoding="utf-8")


def _folder(space: str) -> Path:
    if space not in prior_spaces():
        known = ", ".join(prior_spaces()) or "none"
        raise PredictError(f"no prior comes with hwnas for '{space}'; there are: {known}")
    return PRIORS / space
