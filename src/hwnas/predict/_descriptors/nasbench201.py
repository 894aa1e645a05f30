"""NAS-Bench-201: what the operations of the cell are, and which of them do any work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.predict._descriptor import Descriptor
from hwnas.predict._descriptors.places import Places, one_hot
from hwnas.space import Arch, SearchSpace

EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
"""(node, the node that it reads), as the decisions are named; node 0 is the input, 3 the output."""

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_DEPTH = np.array([0, 0, 1, 1, 0.5])
"""How much an operation adds to the length of a path."""


class NasBench201Descriptor(Descriptor):
    """Counts, liveness and structure of the one cell; all cells of a network are equal.

    Compilers leave out operations whose output is not used, and few that compute zeros from a
    `none`; interpreters run everything. So there are three kinds of counts (columns in the order
    of `OPERATIONS` without `none`):

    - `counts` (4): all operations.
    - `used` (5): those whose output reaches the cell's output, in cells whose output hangs on the
      input; the last column is 1 for these.
    - `structure` (8): operations that are also fed by the input, sums at nodes 2 and 3, longest
      path, and whether the cell's output hangs on the input.
    - `decisions` (30), `live` (24): one-hot, and the same of what is fed and used.
    """

    def __init__(self, space: SearchSpace, name: str = "nasbench201") -> None:
        self.space = name
        self._places = Places(space)
        labels = [decision.label for decision in space.decisions]
        self._columns = [labels.index(f"node{node}.from{source}") for node, source in EDGES]
        choices = space.decisions[0].choices
        self._codes = np.array([OPERATIONS.index(str(choice)) for choice in choices])

    def operations(self, archs: Sequence[Arch]) -> NDArray[np.int64]:
        """(n, 6): the operation of each edge, as its place in `OPERATIONS`."""
        found: NDArray[np.int64] = self._codes[self._places.of(archs)[:, self._columns]]
        return found

    def groups(self, archs: Sequence[Arch]) -> dict[str, NDArray[np.float64]]:
        """See `Descriptor`."""
        codes = self.operations(archs)
        rows = len(codes)
        chosen = one_hot(codes, len(OPERATIONS))
        fed, used = _reached(codes)
        live = fed & used
        alive = live.any(1, keepdims=True)
        working = chosen[:, :, 1:]
        live_working = working & live[:, :, None]
        joins = [
            np.maximum(live[:, [target == node for target, _ in EDGES]].sum(1) - 1, 0)
            for node in (2, 3)
        ]
        return {
            "counts": working.sum(1).astype(np.float64),
            "used": np.column_stack(((working & used[:, :, None]).sum(1) * alive, alive)).astype(
                np.float64
            ),
            "structure": np.column_stack((live_working.sum(1), *joins, _depth(codes, live), alive)),
            "decisions": chosen.reshape(rows, 30).astype(np.float64),
            "live": live_working.reshape(rows, 24).astype(np.float64),
        }


def _reached(codes: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which edges carry what depends on the input, and which lead on to the output: (n, 6) each.

    An edge of `none` is never fed; it may be used.
    """
    open_ = codes != OPERATIONS.index("none")
    before = np.zeros((len(codes), 4), bool)
    after = np.zeros((len(codes), 4), bool)
    before[:, 0] = after[:, 3] = True
    for edge, (node, source) in enumerate(EDGES):
        before[:, node] |= before[:, source] & open_[:, edge]
    for edge, (node, source) in reversed(list(enumerate(EDGES))):
        after[:, source] |= after[:, node] & open_[:, edge]
    nodes, sources = np.array(EDGES).T
    return before[:, sources] & open_, after[:, nodes]


def _depth(codes: NDArray[np.int64], live: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,): the longest path from input to output; 0 where there is none."""
    longest = np.full((len(codes), 4), -np.inf)
    longest[:, 0] = 0
    for edge, (node, source) in enumerate(EDGES):
        through = np.where(live[:, edge], longest[:, source] + _DEPTH[codes[:, edge]], -np.inf)
        longest[:, node] = np.maximum(longest[:, node], through)
    depth: NDArray[np.float64] = np.maximum(longest[:, 3], 0)
    return depth
