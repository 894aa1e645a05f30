"""The shape of one input as text: `3,32,32`."""

from __future__ import annotations

from hwnas.errors import UsageError


def parse_shape(text: str) -> tuple[int, ...]:
    """`3,32,32` as numbers.

    Raises:
        UsageError: something else than whole numbers above zero with commas between them.
    """
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise UsageError(f"--input-shape '{text}': write whole numbers above zero, such as 3,32,32")
    return shape
