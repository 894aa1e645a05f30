"""HAT: transformers by the ten published features, and what their layers take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import ArchError
from hwnas.predict._descriptor import Descriptor
from hwnas.predict._descriptors.places import check_dict
from hwnas.space import Arch
from hwnas.zoo import hat_features

_LENGTH = 30
"""Tokens of a sentence, as where the latencies were published (Wang et al., 2020, section 4.1)."""

_WIDTH = 512
"""Features of all heads together."""

_MEMORY = {"last1": 1, "last2": 2, "last3": 3}
_FIELDS = {"encoder": ("hidden", "heads"), "decoder": ("hidden", "heads", "cross_heads", "memory")}


class HatDescriptor(Descriptor):
    """Of a translation of 30 tokens, made token by token.

    The networks of the published tables have shapes of more than one of HAT's spaces, so any whole
    numbers are taken.

    - `structure` (10): the features by which HAT's tables tell an arch.
    - `counts` (6): decoder layers; sums over them of hidden features, heads, heads to the encoder
      and encoder layers attended to; sum of the encoder's hidden features.
    - `physics` (8): multiply-accumulates of the encoder's attention, its feed-forward parts, the
      decoder's attention, its attention to the encoder and its feed-forward parts; parameters of
      encoder and decoder layers; elements of weights that one step of the decoder reads.
    """

    space = "hat"

    def groups(self, archs: Sequence[Arch]) -> dict[str, NDArray[np.float64]]:
        """See `Descriptor`."""
        rows = [_row(arch) for arch in archs]
        table = np.array(rows, np.float64).reshape(len(rows), 24)
        structure, counts, physics = np.split(table, [10, 16], axis=1)
        return {"structure": structure, "counts": counts, "physics": physics}


def _row(arch: Arch) -> list[float]:
    check_dict(arch)
    features = list(hat_features(arch).values())
    fields = {
        part: [_layer(arch, part, layer) for layer in range(1, _layers(arch, part) + 1)]
        for part in _FIELDS
    }
    known = 3 + sum(len(layer) for layers in fields.values() for layer in layers)
    if len(arch) != known:
        raise ArchError(f"HAT: {len(arch) - known} entries of the arch are of no layer that it has")
    source, target = int(arch["encoder.width"]), int(arch["decoder.width"])
    hidden = sum(layer["hidden"] for layer in fields["encoder"])
    encoders, decoders = len(fields["encoder"]), len(fields["decoder"])
    totals = [sum(layer[field] for layer in fields["decoder"]) for field in _FIELDS["decoder"]]
    memory = totals[3]
    projections = 4 * source * _WIDTH
    own = 4 * target * _WIDTH
    scores = 2 * _WIDTH * _LENGTH
    cross = 2 * target * _WIDTH  # of queries and results, for each token
    keys = 2 * source * _WIDTH  # of keys and values, once for each place of the memory
    steps = _LENGTH * (_LENGTH + 1) // 2  # places attended to over all steps
    physics = [
        encoders * _LENGTH * (projections + scores),
        _LENGTH * 2 * source * hidden,
        decoders * (_LENGTH * own + 2 * _WIDTH * steps),
        decoders * _LENGTH * cross + memory * _LENGTH * (keys + scores),
        _LENGTH * 2 * target * totals[0],
        encoders * projections + 2 * source * hidden,
        decoders * (own + cross + keys) + 2 * target * totals[0],
        decoders * (own + cross) + 2 * target * totals[0],
    ]
    return [*features, decoders, *totals, hidden, *physics]


def _layers(arch: Arch, part: str) -> int:
    return 6 if part == "encoder" else int(arch["decoder.depth"])


def _layer(arch: Arch, part: str, layer: int) -> dict[str, int]:
    found = {}
    for field in _FIELDS[part]:
        label = f"{part}.layer{layer}.{field}"
        value = arch.get(label)
        number = _MEMORY.get(str(value), 0) if field == "memory" else value
        if type(number) is not int or number < 1:
            raise ArchError(f"HAT: the arch has {value!r} for '{label}'")
        found[field] = number
    return found
