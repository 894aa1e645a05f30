"""Archs as places among the choices of their decisions, many at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import ArchError
from hwnas.space import Arch, Decision, SearchSpace, Value


class Places:
    """Reads archs of one space, and tells those that are no canonical archs of it.

    The same numbers as `space.encode`, but conditions are checked too, in a fraction of the time.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.decisions = space.decisions
        self._column = {decision.label: i for i, decision in enumerate(self.decisions)}
        self._most = max((len(decision.choices) for decision in self.decisions), default=1)
        self._cells: dict[tuple[str, type, Value], int] = {
            (decision.label, type(value), value): column * self._most + place
            for column, decision in enumerate(self.decisions)
            for place, value in enumerate(decision.choices)
        }

    def of(self, archs: Sequence[Arch]) -> NDArray[np.int64]:
        """(n, decisions): the place of the chosen value, -1 where the decision is not taken.

        Raises:
            ArchError: one is no canonical arch of the space.
        """
        places = np.full((len(archs), len(self.decisions)), -1)
        known = self._cells
        try:
            cells = np.array(
                [
                    known[label, type(value), value]
                    for arch in archs
                    for label, value in arch.items()
                ],
                np.int64,
            )
        except (AttributeError, KeyError, TypeError):
            self._refuse(archs)
            raise
        rows = np.repeat(np.arange(len(archs)), [len(arch) for arch in archs])
        places[rows, cells // self._most] = cells % self._most
        for column, decision in enumerate(self.decisions):
            wrong = (places[:, column] >= 0) != self._taken(decision, places)
            if wrong.any():
                self._refuse([archs[int(wrong.argmax())]])
        return places

    def _taken(self, decision: Decision, places: NDArray[np.int64]) -> NDArray[np.bool_] | bool:
        """Whether the decision is taken in each row, by the decisions that its condition names."""
        if not decision.parents:
            return decision.is_active({})
        columns = sorted(self._column[label] for label in decision.parents)
        number, first = np.zeros(len(places), np.int64), np.zeros(min(1, len(places)), np.int64)
        for column in columns:  # Rows with the same places so far have the same number.
            codes = number * (self._most + 1) + places[:, column]
            _, first, number = np.unique(codes, return_index=True, return_inverse=True)
        active = [
            decision.is_active(
                {
                    self.decisions[column].label: self.decisions[column].choices[place]
                    for column in columns
                    if (place := int(places[row, column])) >= 0
                }
            )
            for row in first.tolist()
        ]
        taken: NDArray[np.bool_] = np.array(active, bool)[number]
        return taken

    def _refuse(self, archs: Sequence[Arch]) -> None:
        for arch in archs:
            check_dict(arch)
            self.space.validate(arch)


def check_dict(arch: object) -> None:
    """That an arch is a dict.

    Raises:
        ArchError: it is something else.
    """
    if not isinstance(arch, dict):
        raise ArchError(f"an arch is a dict of decisions, not {type(arch).__name__}")


def one_hot(places: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """(...,) to (..., count); a place of -1 has no entry."""
    chosen: NDArray[np.bool_] = places[..., None] == np.arange(count)
    return chosen
