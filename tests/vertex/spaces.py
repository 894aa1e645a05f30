"""PyGlove spaces, given as functions."""

from __future__ import annotations

from typing import Any

import pyglove as pg


def layers() -> Any:
    """Two convolutions: 2 x 3 choices each, 36 networks."""
    return pg.List(
        [
            pg.Dict(kernel=pg.one_of([3, 5]), filters=pg.one_of(filters))
            for filters in ([3, 4, 5], [6, 8, 10])
        ]
    )


def edited() -> Any:
    return pg.List([pg.Dict(kernel=pg.one_of([3, 5, 7]), filters=pg.one_of([3, 4, 5]))])


def fixed() -> Any:
    return pg.Dict(kernel=3)


def broken() -> Any:
    raise TypeError("no such layer")


NUMBER = 3
