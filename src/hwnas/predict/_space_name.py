"""Spaces in files: what is written of one, and which one a file may be about."""

from __future__ import annotations

from hwnas.errors import PredictError
from hwnas.space import SearchSpace

OBJECT = "fingerprint:"
"""Begins what stands for a space that only the calling program can make."""


def name_of(space: str | SearchSpace) -> str:
    """The space's name or reference; its fingerprint, if it is an object."""
    return space if isinstance(space, str) else OBJECT + space.fingerprint


def space_of(written: str, given: str | SearchSpace | None, what: str) -> str | SearchSpace:
    """The space of a file in which `written` stands.

    Args:
        given: the one that is expected, if any. It must be given where it is of the caller's own:
            a file from elsewhere shall not say what is imported.
        what: the file, for messages: `the predictor in FOLDER`.

    Raises:
        PredictError: it is another one, or the caller must give it.
    """
    if isinstance(given, SearchSpace):
        if written.startswith(OBJECT) and written != OBJECT + given.fingerprint:
            raise PredictError(f"{what} is of another space")
        return given if ":" in written else written
    if given is not None and given != written:
        raise PredictError(f"{what} is of the space '{written}', not '{given}'")
    if given is None and ":" in written:
        raise PredictError(
            f"{what} is of '{written}', which is code of its own; give the space if it is yours"
        )
    return written
