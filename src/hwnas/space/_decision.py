"""Decision: one named choice of a space, and the condition under which it is taken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property

from hwnas.errors import ArchError
from hwnas.space._expr import Expr, Value


class Decision:
    """A label, the choices, and the condition under which the decision is taken.

    Attributes:
        label: the name, unique in the space.
        choices: the values, in the order in which `encode` counts them.
        condition: a formula over earlier decisions, or True.
    """

    def __init__(self, label: str, choices: tuple[Value, ...], condition: Expr | bool = True):
        self.label = label
        self.choices = choices
        self.condition = condition
        # The type is part of the key: 1, 1.0 and True are equal in Python.
        self._index = {(type(value), value): i for i, value in enumerate(choices)}

    def is_active(self, arch: Mapping[str, Value]) -> bool:
        """Whether the decision is taken, given the values of the decisions before it."""
        if isinstance(self.condition, bool):
            return self.condition
        return bool(self.condition.evaluate(arch))

    def index(self, value: object) -> int:
        """The place of `value` among the choices.

        Raises:
            ArchError: it is not one of them; 1, 1.0 and True are told apart.
        """
        try:
            return self._index[type(value), value]  # type: ignore[index]
        except (KeyError, TypeError):
            choices = ", ".join(json.dumps(choice) for choice in self.choices)
            raise ArchError(
                f"'{self.label}': {value!r} ({type(value).__name__}) is not one of its choices: "
                f"{choices}"
            ) from None

    @cached_property
    def parents(self) -> frozenset[str]:
        """The labels of the decisions in the condition."""
        return self.condition.labels if isinstance(self.condition, Expr) else frozenset()

    def __repr__(self) -> str:
        when = "" if self.condition is True else f", when {self.condition}"
        return f"Decision({self.label}: {', '.join(map(json.dumps, self.choices))}{when})"
