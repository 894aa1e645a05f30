"""Tasks as text: `name`, `name:path`, each with `?option=value&option=value`."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import _plugins
from hwnas.errors import UsageError
from hwnas.tasks._options import convert

if TYPE_CHECKING:
    from hwnas.tasks._base import Task


def task_from_spec(spec: str) -> Task:
    """Make the task that `spec` names, for example `digits` or `idx:data/mnist?limit=2000`.

    A path with a question mark in it is written with one more at its end.

    Raises:
        UsageError: an unknown name or option, or a value that makes no sense.
        DataError: the data cannot be read.
    """
    place, question, text = spec.rpartition("?")
    if not question:
        place, text = spec, ""
    name, colon, path = place.partition(":")
    member = _plugins.load("tasks", name)
    takes_path = "path" in inspect.signature(member).parameters
    if takes_path and not path:
        raise UsageError(f"task '{name}' needs a path: {name}:PATH")
    if colon and not takes_path:
        raise UsageError(f"task '{name}' takes no path; write '{name}', not '{place}'")
    options = convert(member, _pairs(text, spec), reserved=int(takes_path), of=f"task '{name}'")
    path = os.path.expanduser(path)  # a shell leaves the ~ in name:~/folder alone
    task: Task = member(path, **options) if takes_path else member(**options)
    return task


def format_spec(task: Task) -> str:
    """The text for `task`: its name, its path made absolute, and the options not at default."""
    options, place = [], task.name
    for parameter in inspect.signature(type(task)).parameters.values():
        value = getattr(task, parameter.name)
        if parameter.name == "path":
            place = f"{task.name}:{Path(value).absolute()}"
        elif value != parameter.default:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            options.append(f"{parameter.name}={text}")
    if options or "?" in place:
        return f"{place}?{'&'.join(options)}"
    return place


def _pairs(text: str, spec: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in text.split("&") if text else []:
        name, equals, value = item.partition("=")
        if not (name and equals and value):
            raise UsageError(f"'{item}' in '{spec}' is not of the form option=value")
        if name in pairs:
            raise UsageError(f"option '{name}' is given twice in '{spec}'")
        pairs[name] = value
    return pairs
