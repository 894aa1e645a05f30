"""The `hwnas` command: one module per sub-command.

`Progress` and `print_result` show a search in a terminal; programs may use them as well.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hwnas.cli._app import main

if TYPE_CHECKING:
    from hwnas.cli._progress import Progress as Progress
    from hwnas.cli._result import print_result as print_result

__all__ = ["Progress", "main", "print_result"]

_LAZY = {"Progress": "hwnas.cli._progress", "print_result": "hwnas.cli._result"}


def __getattr__(name: str) -> Any:
    # These import the rest of hwnas; the command's own help should not.
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
