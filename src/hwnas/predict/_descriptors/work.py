"""What an operator takes: its kind, its amounts, and how alike two of them are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.cost import Operator

KINDS = (
    *("convolution", "pointwise", "grouped", "depthwise 3", "depthwise 5", "depthwise 7"),
    *("product", "norm", "activation", "join", "pool", "softmax", "move"),
)
"""Kinds of operators: those with multiply-accumulates first.

`pointwise` is a convolution of kernel 1, `depthwise 7` of 7 and more, `join` combines tensors
element by element, `move` is all that only brings elements elsewhere, and what is not known.
"""

OCTAVES = 17
"""Sizes of the image (or lengths of the sequence) that are told apart: 1, 2 to 3, 4 to 7, ..."""

_RANK = 48
_POOLS = ("pool", "mean", "sum", "amax")
_FIRST = ("convolution", "linear", "native_batch_norm", "native_layer_norm", "native_group_norm")
"""Operators whose other tensors are weights."""


def kind_of(operator: Operator) -> str:
    """One of `KINDS`."""
    name = operator.name
    if name == "convolution":
        c_in, groups, kernel = operator.given[0][1], _groups(operator), operator.given[1][2:]
        if groups > 1 and groups == c_in:
            size = max(kernel)
            return f"depthwise {3 if size <= 3 else 5 if size <= 5 else 7}"
        if groups > 1:
            return "grouped"
        return "pointwise" if max(kernel) == 1 else "convolution"
    if operator.macs:
        return "product"
    if "norm" in name:
        return "norm"
    if "softmax" in name:
        return "softmax"
    if any(word in name for word in _POOLS):
        return "pool"
    if operator.pointwise and name not in ("clone", "_to_copy"):
        return "join" if len([shape for shape in operator.given if shape]) > 1 else "activation"
    return "move"


def moved(operator: Operator) -> int:
    """Elements of activations that are read and written; weights do not count."""
    given = operator.given[:1] if operator.name in _FIRST else operator.given
    return sum(map(math.prod, (*given, *operator.made[:1])))


def amounts_of(operator: Operator) -> NDArray[np.float64]:
    """(kinds, 3): calls, multiply-accumulates and elements moved, in the row of its kind."""
    amounts = np.zeros((len(KINDS), 3))
    amounts[KINDS.index(kind_of(operator))] = 1, operator.macs, moved(operator)
    return amounts


def octave_of(operator: Operator) -> int:
    """Which size of the image, or length of the sequence, its result has."""
    made = operator.made[0] if operator.made else ()
    places = math.prod(made[2:]) if len(made) > 3 else math.prod(made[1:-1])
    return min(int(math.log2(max(places, 1))), OCTAVES - 1)


def likeness(operators: Sequence[Operator]) -> NDArray[np.float64]:
    """Rows whose inner products tell how alike operators are: (operators, at most 48).

    Alike are those with multiply-accumulates of like channels, kernels, groups and sizes, and the
    more so the more they multiply: a Gaussian of the distance of logarithms. It is cut off by a
    Cholesky factorisation that takes the largest remainder first.
    """
    works = [i for i, operator in enumerate(operators) if operator.macs]
    rows = np.zeros((len(operators), min(_RANK, len(works))))
    if not works:
        return rows
    traits = np.array([_traits(operators[i]) for i in works])
    traits = (traits - traits.mean(0)) / (traits.std(0) + 1e-9)
    macs = np.array([operators[i].macs for i in works], np.float64)
    weight = 0.3 + 0.7 * np.sqrt(macs / macs.mean())
    factor = np.zeros((len(works), rows.shape[1]))
    left = weight**2
    for column in range(rows.shape[1]):
        pivot = int(left.argmax())
        if left[pivot] <= 1e-9 * float(weight.max()) ** 2:
            break
        distance = ((traits - traits[pivot]) ** 2).sum(1)
        kernel = np.exp(-distance / 8) * weight * weight[pivot]
        kernel -= factor @ factor[pivot]
        factor[:, column] = kernel / math.sqrt(left[pivot])
        left = np.maximum(left - factor[:, column] ** 2, 0)
        left[pivot] = 0
    rows[works] = factor
    return rows


def _traits(operator: Operator) -> list[float]:
    made = operator.made[0]
    if operator.name == "convolution":
        channels, places = made[1], math.prod(made[2:])
        kernel, groups = math.prod(operator.given[1][2:]), _groups(operator)
    else:
        channels, places, kernel, groups = made[-1], math.prod(made[:-1]), 1, 0
    inner = operator.macs / max(math.prod(made), 1)
    return [math.log2(1 + value) for value in (channels, inner, places, kernel, groups)]


def _groups(operator: Operator) -> int:
    return int(operator.settings[-1])  # type: ignore[call-overload, no-any-return]
