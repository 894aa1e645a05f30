"""FBNet: what each of the 22 layers computes and moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hwnas.predict._descriptor import Descriptor
from hwnas.predict._descriptors.places import Places, one_hot
from hwnas.space import Arch, SearchSpace

SKIP = "skip"
_ROWS = 256
"""Archs that are added up at a time, which fit into the cache."""


class Layer(NamedTuple):
    """The shapes of a layer, whatever its operation."""

    c_in: int
    c_out: int
    height: int
    stride: int


class Operation(NamedTuple):
    """What the name of an operation says: `k5_e3`, `k3_e1_g2`."""

    kernel: int
    expand: int
    groups: int

    @classmethod
    def named(cls, name: str) -> Operation:
        """Of a name; not `skip`."""
        return cls(int(name[1]), int(name[4]), 2 if name.endswith("_g2") else 1)


class FBNetDescriptor(Descriptor):
    """Sums over the layers of what their operations take, at one input size.

    - `counts` (9): layers by operation, in the order of the choices.
    - `physics` (8): MACs of the 1x1 convolutions, of the depthwise ones of kernel 3 and of 5, of
      skips that change the shape; parameters; elements read and written; layers that do anything;
      layers with grouped convolutions.
    - `operators` (18): MACs by operation, then elements moved by operation.
    - `stages` (7): layers of each stage that are no skip.
    - `decisions` (198): one-hot.
    - `layers` (198): one-hot, blurred: the inner product of two archs is the sum over the choices
      of both of how alike these are in channels, resolution, expansion, kernel, groups, stride and
      depth. To be scaled as a whole: scaling each column would undo it.
    """

    def __init__(
        self, space: SearchSpace, input_shape: tuple[int, ...], name: str = "fbnet"
    ) -> None:
        self.space = name
        self._places = Places(space)
        self.operations = tuple(str(choice) for choice in space.decisions[0].choices)
        labels = [decision.label for decision in space.decisions]
        self._columns = [labels.index(f"layer{i + 1}") for i in range(len(labels))]
        self.layers = _layers(space, input_shape)
        self._widths, self._table = self._entries()

    def _entries(self) -> tuple[dict[str, int], NDArray[np.float64]]:
        """What each operation in each layer adds to each column: (layers, operations, columns)."""
        layers, operations = len(self.layers), len(self.operations)
        amounts, attributes = _table(self.layers, self.operations)
        macs, moved = amounts[..., :3].sum(2), amounts[..., 5]
        each = np.eye(operations)
        stages = np.cumsum([layer.c_in != layer.c_out for layer in self.layers])
        works = np.array([name != SKIP for name in self.operations])
        parts = {
            "counts": np.broadcast_to(each, (layers, operations, operations)),
            "physics": amounts,
            "operators": np.concatenate((macs[..., None] * each, moved[..., None] * each), 2),
            "stages": works[:, None] * np.eye(stages[-1] + 1)[stages][:, None],
            "layers": _blur(amounts, attributes).reshape(layers, operations, -1),
        }
        widths = {name: part.shape[2] for name, part in parts.items()}
        return widths, np.concatenate([*parts.values()], 2)

    def groups(self, archs: Sequence[Arch]) -> dict[str, NDArray[np.float64]]:
        """See `Descriptor`."""
        places = self._places.of(archs)[:, self._columns]
        total = np.zeros((len(places), self._table.shape[2]))
        for start in range(0, len(places), _ROWS):
            some = slice(start, start + _ROWS)
            for layer, chosen in zip(self._table, places[some].T, strict=True):
                total[some] += layer[chosen]  # A product's rounding would hang on the batch.
        ends = np.cumsum([*self._widths.values()])[:-1]
        groups = dict(zip(self._widths, np.split(total, ends, axis=1), strict=True))
        chosen = one_hot(places, len(self.operations)).astype(np.float64)
        groups["decisions"] = chosen.reshape(len(places), places.shape[1] * len(self.operations))
        groups["layers"] = groups.pop("layers")  # The last, as in the list above.
        return groups


def _layers(space: SearchSpace, input_shape: tuple[int, ...]) -> list[Layer]:
    """The shapes that one network has at each layer; all networks have them."""
    found: list[Layer] = []

    def note(_: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        (x,) = args
        found.append(Layer(x.shape[1], output.shape[1], x.shape[2], x.shape[2] // output.shape[2]))

    with torch.device("meta"), torch.no_grad():
        network = space.build(space.default()).eval()
        layers = network.get_submodule("layers")
        assert isinstance(layers, nn.Sequential)
        for layer in layers:
            layer.register_forward_hook(note)
        network(torch.empty(1, *input_shape))
    return found


def _table(
    layers: Sequence[Layer], operations: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each operation in each layer: what it takes, and what it is; (layers, operations, 8)."""
    amounts = np.zeros((len(layers), len(operations), 8))
    attributes = np.zeros_like(amounts)
    for i, layer in enumerate(layers):
        c_in, c_out, stride = layer.c_in, layer.c_out, layer.stride
        read, written = layer.height**2, (layer.height // stride) ** 2  # positions
        place = [np.log(c_out), np.log(layer.height // stride)]
        for j, name in enumerate(operations):
            if name == SKIP:
                attributes[i, j] = [*place, 0, 0, 0, 1, stride, i / 5]
                if stride > 1 or c_in != c_out:
                    macs = c_in * c_out
                    moved = c_in * read + c_out * written
                    amounts[i, j] = [macs * written, 0, 0, 0, macs, moved, 1, 0]
                continue
            kernel, expand, groups = Operation.named(name)
            hidden = c_in * expand
            depthwise = hidden * kernel**2
            amounts[i, j] = [
                (c_in * hidden * read + hidden * c_out * written) / groups,
                depthwise * written if kernel == 3 else 0,
                depthwise * written if kernel == 5 else 0,
                0,
                (c_in * hidden + hidden * c_out) / groups + depthwise,
                (c_in + hidden) * read + (hidden + c_out) * written,
                1,
                groups > 1,
            ]
            attributes[i, j] = [*place, np.log(expand), kernel / 2, groups, 0, stride, i / 5]
    return amounts, attributes


def _blur(amounts: NDArray[np.float64], attributes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The symmetric square root of the likeness of all operations in all layers: (198, 198).

    Likeness is a Gaussian of the distance of the attributes times the expected weight of both:
    a constant for an operation that does anything, and the square root of its MACs.
    """
    flat = attributes.reshape(-1, attributes.shape[2])
    scaled = (flat - flat.mean(0)) / (flat.std(0) + 1e-9)
    distance = ((scaled[:, None] - scaled[None]) ** 2).sum(2)
    macs = amounts[..., :3].sum(2).ravel()
    weight = 0.3 * amounts[..., 6].ravel() + 0.7 * np.sqrt(macs / macs.mean())
    # What does nothing is left out: roots of rounding errors would be scaled up by a model.
    works = np.flatnonzero(weight)
    likeness = np.exp(-distance / 8) * np.outer(weight, weight)
    values, vectors = np.linalg.eigh(likeness[np.ix_(works, works)])
    root: NDArray[np.float64] = np.zeros_like(likeness)
    root[np.ix_(works, works)] = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root
