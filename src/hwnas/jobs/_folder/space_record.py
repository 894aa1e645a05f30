"""`space.json`: the decisions of a job's space, so that a change can be named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hwnas.space import SearchSpace

SPACE = "space.json"
_SHOWN = 4

Record = list[dict[str, Any]]


def describe_space(space: SearchSpace) -> Record:
    """The decisions as JSON values."""
    return [
        {"label": one.label, "choices": list(one.choices), "condition": str(one.condition)}
        for one in space.decisions
    ]


def what_changed(before: Record, now: Record) -> str:
    """How two spaces differ, in one line; empty if they do not."""
    found = list(_changes(before, now))
    rest = len(found) - _SHOWN
    return "; ".join(found[:_SHOWN] + ([f"and {rest} more"] if rest > 0 else []))


def _changes(before: Record, now: Record) -> Iterator[str]:
    old, new = ({one["label"]: one for one in record} for record in (before, now))
    for label in sorted(old.keys() | new.keys()):
        if label not in new:
            yield f"decision '{label}' is gone"
        elif label not in old:
            yield f"decision '{label}' is new"
        elif _typed(old[label]["choices"]) != _typed(new[label]["choices"]):
            yield (
                f"decision '{label}' has the choices {_listed(new[label]['choices'])} instead of "
                f"{_listed(old[label]['choices'])}"
            )
        elif old[label]["condition"] != new[label]["condition"]:
            yield (
                f"decision '{label}' is taken when {new[label]['condition']} instead of when "
                f"{old[label]['condition']}"
            )


def _typed(choices: Sequence[Any]) -> list[tuple[type, Any]]:
    """1, 1.0 and True are equal in Python."""
    return [(type(value), value) for value in choices]


def _listed(choices: Sequence[Any]) -> str:
    return ", ".join(map(repr, choices))
