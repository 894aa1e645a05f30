"""Copies of plain layers without data."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)

_STATE = frozenset(vars(nn.Module())) - {"training"}
"""The dictionaries (and a set) of parts and hooks that torch gives each module."""
_PLAIN = (bool, int, float, str, type(None), torch.dtype)


def is_simple(layer: nn.Module) -> bool:
    """Whether a layer has nothing but plain attributes, and parameters and buffers without data."""
    tensors = [*layer._parameters.values(), *layer._buffers.values()]
    return (
        all(tensor is None or tensor.is_meta for tensor in tensors)
        and not layer._modules
        and all(_plain(value) for name, value in vars(layer).items() if name not in _STATE)
    )


def copied_layer(layer: M) -> M:
    """Another layer like `layer`, which is simple."""
    copy = object.__new__(type(layer))
    own = vars(copy)
    for name, value in vars(layer).items():
        own[name] = value.copy() if isinstance(value, dict | OrderedDict | set) else value
    with torch._C.DisableTorchFunction():  # The device of the copies is known.
        for name, parameter in layer._parameters.items():
            if parameter is not None:
                own["_parameters"][name] = nn.Parameter(parameter.detach(), parameter.requires_grad)
        for name, buffer in layer._buffers.items():
            if buffer is not None:
                own["_buffers"][name] = buffer.detach()
    return copy


def _plain(value: object) -> bool:
    return all(map(_plain, value)) if type(value) is tuple else type(value) in _PLAIN
