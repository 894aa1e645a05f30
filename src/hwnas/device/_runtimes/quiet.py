"""Libraries that talk while they work."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence an exporter's progress prints, warnings and logs; exceptions still pass."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what matters is raised, too
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
