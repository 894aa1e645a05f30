"""Families of plug-ins: members are found by entry points, so anybody can add one."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from hwnas.errors import UsageError


def names(family: str) -> list[str]:
    """The members of a family (`costs`, `executors`, `spaces` and so on), sorted."""
    return sorted(_members(family))


def load(family: str, name: str) -> Any:
    """The object registered as `name` under the entry-point group `hwnas.<family>`.

    Raises:
        UsageError: no member has that name; the message lists those that exist.
    """
    members = _members(family)
    if name not in members:
        known = ", ".join(sorted(members)) or "none is installed"
        raise UsageError(f"unknown {family.removesuffix('s')} '{name}'; known: {known}")
    return members[name].load()


def _members(family: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"hwnas.{family}")}
