"""References to a user's Python objects, written `module:name`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from hwnas.errors import UsageError


def load(reference: str) -> Any:
    """Import the object that `reference` (`package.module:name` or `file.py:name`) names.

    The current folder is importable, as it is for `python -m`.

    Raises:
        UsageError: the reference is malformed, or there is no such module or name.
    """
    module_name, colon, name = reference.partition(":")
    if not (module_name and colon and name):
        raise UsageError(f"'{reference}' is not of the form module:name, for example mynet:train")
    if module_name.endswith(".py"):
        file = Path(module_name)
        folder, module_name = file.resolve().parent, file.stem
    else:
        folder = Path.cwd()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        target: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise UsageError(
            f"no module named '{error.name}' (looked for '{reference}' from {folder})"
        ) from error
    for part in name.split("."):
        if not hasattr(target, part):
            raise UsageError(f"module '{module_name}' has no '{part}' (looked for '{reference}')")
        target = getattr(target, part)
    return target


def name_of(target: Any) -> str | None:
    """The reference by which `load` finds `target`; None for a local or `__main__` one."""
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    if not module or not name or module == "__main__" or "<" in name:
        return None
    return f"{module}:{name}"
