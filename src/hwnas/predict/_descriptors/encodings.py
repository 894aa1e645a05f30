"""Archs as the networks of published predictors take them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import ArchError, UsageError
from hwnas.predict._descriptors import nasbench201
from hwnas.predict._descriptors.ofa_mobilenetv3 import RESOLUTIONS, OfaReader
from hwnas.predict._descriptors.places import Places
from hwnas.space import Arch
from hwnas.zoo import load_space, write_fbnet


class Graph(NamedTuple):
    """Graphs of archs, as graph networks take them.

    Attributes:
        nodes: (n, nodes, features) float32.
        adjacency: (nodes, nodes) float32, the same for all: row i has 1 at each node from which
            node i receives.
    """

    nodes: NDArray[np.float32]
    adjacency: NDArray[np.float32]


_FEATURES = ("input", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3", "none", "skip_connect")
"""The columns of a node before `output` and `global`."""

_SENDS = {0: (1, 2, 3), 1: (4, 5), 2: (6,), 3: (7,), 4: (6,), 5: (7,), 6: (7,)}
"""Which nodes receive from a node: the input, the six edges as strings have them, the output.

This is the matrix of published encoders, made for another order of the edges than that of the
strings; HELP's released weights were trained with it.
"""


def encode_graph(archs: Sequence[Arch]) -> Graph:
    """NAS-Bench-201's cells as HELP's released networks take them (Lee et al., NeurIPS 2021).

    Nine nodes: input, the six edges in the order of an architecture string, output, and a global
    one that receives from all; each node has a loop. Eight features, one-hot: input, the five
    operations, output, global.

    Raises:
        ArchError: one is no arch of `nasbench201`.
    """
    operations = _nasbench201().operations(archs)
    columns = np.array([_FEATURES.index(name) for name in nasbench201.OPERATIONS])
    edges = len(nasbench201.EDGES)
    size = edges + 3
    nodes = np.zeros((len(archs), size, len(_FEATURES) + 2), np.float32)
    nodes[:, 0, 0] = nodes[:, size - 2, -2] = nodes[:, size - 1, -1] = 1
    rows = np.arange(len(archs))[:, None]
    nodes[rows, 1 + np.arange(edges), columns[operations]] = 1
    adjacency = np.eye(size, dtype=np.float32)
    for source, targets in _SENDS.items():
        adjacency[list(targets), source] = 1
    adjacency[size - 1] = 1
    return Graph(nodes, adjacency)


def encode_vector(space: str, archs: Sequence[Arch]) -> NDArray[np.float32]:
    """Archs as the fully connected networks of HELP take them.

    - `fbnet` (132): six for each layer, kernel 3 or 5, then `e1`, `e1_g2`, `e3`, `e6`; all zero
      for a skip.
    - `ofa_mobilenetv3` (145): see `encode_ofa`, for 25 resolutions.

    Raises:
        ArchError: one is no arch of the space.
        UsageError: there is no such encoding for the space.
    """
    if space == "ofa_mobilenetv3":
        return encode_ofa(archs)
    if space != "fbnet":
        raise UsageError(f"there is no vector of '{space}'; there is one of fbnet, ofa_mobilenetv3")
    _fbnet().of(archs)
    indices = np.array([write_fbnet(arch) for arch in archs], np.int64).reshape(len(archs), 22)
    kernel, expand = np.divmod(indices, 4)
    works = kernel < 2  # The last index, 8, is the skip.
    found = np.zeros((*indices.shape, 6), np.float32)
    rows, layers = np.nonzero(works)
    found[rows, layers, kernel[works]] = 1
    found[rows, layers, 2 + expand[works]] = 1
    return found.reshape(len(archs), 132)


def encode_ofa(
    archs: Sequence[Arch], resolutions: Sequence[int] = RESOLUTIONS
) -> NDArray[np.float32]:
    """One-hot kernels of 20 blocks (60), expansions (60), and the resolution among `resolutions`.

    Blocks that are not there are zero. Once-for-All's accuracy predictor takes 128: the
    resolutions from 112 to 224 in steps of 16.

    Raises:
        ArchError: one is no arch of `ofa_mobilenetv3`, or its resolution is not among these.
    """
    reader = _ofa()
    blocks = reader.read(archs)
    if not set(blocks.resolution.tolist()) <= set(resolutions):
        wrong = min(set(blocks.resolution.tolist()) - set(resolutions))
        raise ArchError(
            f"'resolution' is {wrong}, which this encoding lacks: it has "
            f"{', '.join(map(str, resolutions))}"
        )
    return reader.vectors(blocks, resolutions).astype(np.float32)


@cache
def _nasbench201() -> nasbench201.NasBench201Descriptor:
    return nasbench201.NasBench201Descriptor(load_space("nasbench201"))


@cache
def _fbnet() -> Places:
    return Places(load_space("fbnet"))


@cache
def _ofa() -> OfaReader:
    return OfaReader(load_space("ofa_mobilenetv3"))
