"""FunctionSpace: choices beside a function that builds the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from torch import nn

from hwnas.errors import SpaceError
from hwnas.space._base import SearchSpace
from hwnas.space._choice import Choice
from hwnas.space._code_hash import code_hash
from hwnas.space._decision import Decision
from hwnas.space._expr import Arch, Value


class FunctionSpace(SearchSpace):
    """The networks that a function builds from an arch.

    Args:
        choices: label -> values, or label -> `Choice`; or a list of choices with labels. A
            choice's `when` may name other choices of the space.
        build: makes the network from an arch; called as `build(arch)` with a dict of its own.

    Raises:
        SpaceError: a label is missing or given twice, or a condition names another space's
            choice.
    """

    def __init__(
        self,
        choices: Mapping[str, Sequence[Value] | Choice] | Sequence[Choice],
        build: Callable[[Arch], nn.Module],
    ) -> None:
        self.choices = _named(choices)
        self.builder = build
        _ = self.decisions  # Errors in conditions show now.

    @cached_property
    def code_hash(self) -> str:
        """See `SearchSpace.code_hash`."""
        return code_hash(self.builder)

    def _decide(self) -> Sequence[Decision]:
        return [Decision(choice.label, choice.values, choice.when) for choice in self.choices]

    def _build(self, arch: Arch) -> nn.Module:
        model = self.builder(arch)
        if not isinstance(model, nn.Module):
            raise SpaceError(f"FunctionSpace: build returned {model!r}, which is no nn.Module")
        return model

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.choices, self.builder)


def _named(choices: Any) -> tuple[Choice, ...]:
    if isinstance(choices, Mapping):
        found = []
        for label, values in choices.items():
            choice = values
            if not isinstance(values, Choice):
                choice = Choice.symbolic(values, label, True)
            choice.name(label)
            found.append(choice)
    else:
        found = list(choices)
    by_label: dict[str, Choice] = {}
    for choice in found:
        if not isinstance(choice, Choice):
            raise SpaceError(f"FunctionSpace: {choice!r} is no Choice; use a dict of labels")
        if choice.label in by_label:
            raise SpaceError(f"FunctionSpace: two choices have the label '{choice.label}'")
        by_label[choice.label] = choice
    return tuple(found)
