"""Archs as the networks read them: graphs of NAS-Bench-201, vectors of the other spaces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hwnas.predict._descriptors.encodings import encode_graph, encode_vector
from hwnas.space import Arch, SearchSpace
from hwnas.zoo import load_space

_VECTORS = ("fbnet", "ofa_mobilenetv3")


class Encoding:
    """Archs of one space as float32 tensors: (n, nodes, features) or (n, features).

    NAS-Bench-201, FBNet and Once-for-All as the published networks read them; an arch of any other
    space has one indicator for each choice of each decision.

    Args:
        space, input_shape, num_classes: see `SourceTable`.

    Attributes:
        features: length of the last axis.
        adjacency: (nodes, nodes) of graphs: row i is 1 at the nodes whose features node i sums,
            itself included. None for vectors.
    """

    def __init__(
        self,
        space: str | SearchSpace,
        input_shape: tuple[int, ...] | None = None,
        num_classes: int | None = None,
    ) -> None:
        self._name = space if isinstance(space, str) else None
        self._space = (
            space if isinstance(space, SearchSpace) else load_space(space, input_shape, num_classes)
        )
        self.adjacency: Tensor | None = None
        if self._name == "nasbench201":
            self.adjacency = torch.from_numpy(encode_graph([]).adjacency)
        self.features = self([self._space.default()]).shape[-1]

    def __call__(self, archs: Sequence[Arch]) -> Tensor:
        """The archs, one a row.

        Raises:
            ArchError: an arch is of another space.
        """
        if self._name == "nasbench201":
            return torch.from_numpy(encode_graph(archs).nodes)
        if self._name in _VECTORS:
            return torch.from_numpy(encode_vector(str(self._name), archs))
        for arch in archs:
            self._space.validate(arch)
        codes = self._space.encode(archs).astype(np.int64)
        parts = [
            # One row more, of zeros: the index -1 of a decision that is not taken.
            np.eye(len(decision.choices) + 1, len(decision.choices), dtype=np.float32)[column]
            for decision, column in zip(self._space.decisions, codes.T, strict=True)
        ]
        return torch.from_numpy(np.concatenate(parts, axis=1))
