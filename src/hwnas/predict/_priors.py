"""Predictors that come with hwnas, learnt from published latencies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwnas.errors import PredictError
from hwnas.predict._base import LatencyPredictor
from hwnas.predict._registry import load_predictor
from hwnas.predict._stored import read

PRIORS = Path(__file__).parent / "priors"
"""A folder for each space: the stored predictor, and `card.md`."""

_CARD = "card.md"


@dataclass(frozen=True)
class PriorCard:
    """What there is to know of a prior.

    Attributes:
        space: of the zoo.
        predictor: its name among the predictors.
        input_shape: (C, H, W) of the networks that it is about; None where their archs tell it.
        text: what it was made of, how good it is and what it does not know, as Markdown.
    """

    space: str
    predictor: str
    input_shape: tuple[int, ...] | None
    text: str


def prior_spaces() -> tuple[str, ...]:
    """The spaces of the zoo that a prior comes with."""
    return tuple(sorted(card.parent.name for card in PRIORS.glob(f"*/{_CARD}")))


def prior_card(space: str) -> PriorCard:
    """The card of a prior, without loading it.

    Raises:
        PredictError: there is none for the space.
    """
    if space not in prior_spaces():
        known = ", ".join(prior_spaces()) or "none"
        raise PredictError(f"no prior comes with hwnas for '{space}'; there are: {known}")
    kind, state = read(PRIORS / space)
    text = (PRIORS / space / _CARD).read_text(encoding="utf-8")
    return PriorCard(space, kind, state.input_shape, text)


def load_prior(space: str, input_shape: tuple[int, ...] | None = None) -> LatencyPredictor:
    """The predictor of a space that has learnt from published latencies already.

    Args:
        space: one of `prior_spaces`.
        input_shape: (C, H, W) of the networks to predict, if it is known.

    Raises:
        PredictError: there is none for the space, or it is about inputs of another shape.
    """
    known = prior_card(space).input_shape
    if None not in (known, input_shape) and known != input_shape:
        raise PredictError(f"the prior of '{space}' is about inputs {known}, not {input_shape}")
    return load_predictor(PRIORS / space, space)
