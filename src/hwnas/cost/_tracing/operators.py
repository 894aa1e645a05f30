"""What an operator adds to `flops` besides its multiply-accumulates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hwnas.cost._counting import Counting

_aten = torch.ops.aten

WHOLE = frozenset((_aten.linear, _aten.instance_norm, _aten.selu))
"""Operators that are counted as one, not by those they are made of.

Depending on the layout, a linear becomes addmm or a product and a sum. An instance norm is made of
a batch norm and selu of elu, but neither counts as one.
"""

_BIAS = {_aten.linear: 2, _aten.convolution: 2, _aten._convolution: 2}
"""Where the bias is among the arguments."""
_ADDING = frozenset((_aten.addmm, _aten.addmm_, _aten.baddbmm, _aten.baddbmm_))
_ACTIVATING = frozenset(
    getattr(_aten, name + end)
    for name in ("relu", "relu6", "elu", "sigmoid", "tanh", "hardtanh", "leaky_relu")
    for end in ("", "_")
)


def extra_operations(
    counting: Counting, operator: Any, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> int:
    """The operations of an operator (all its overloads alike) that are no multiply-accumulates."""
    each = 0
    if operator in _ACTIVATING:
        each = int(counting.activation)
    elif operator is _aten.batch_norm:
        each = 2 * (1 + _given("weight", 1, args, kwargs)) * counting.normalization
    elif operator in _BIAS:
        each = counting.bias and _given("bias", _BIAS[operator], args, kwargs)
    elif operator in _ADDING:
        each = int(counting.bias)
    return each * result.numel() if each and isinstance(result, Tensor) else 0


def _given(name: str, place: int, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    return (args[place] if len(args) > place else kwargs.get(name)) is not None
