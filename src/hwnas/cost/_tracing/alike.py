"""Which modules compute the same, so that what one has done need not be done by another."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor, nn

_PLAIN = (int, float, str, bool, type(None), torch.dtype, torch.device, torch.Size)


def attributes(module: nn.Module) -> list[list[int]]:
    """Which objects a module and its parts hold now."""
    return [list(map(id, vars(part).values())) for part in module.modules()]


class Alike:
    """Tells modules apart by class and attributes, and parts without data by shape and type.

    What is neither plain, nor a container, nor a module or tensor is told apart by identity, and so
    are tensors with data. The modules must outlive this.
    """

    def __init__(self) -> None:
        self._first: dict[Hashable, int] = {}
        self._known: dict[int, int] = {}

    def key(self, module: nn.Module, own: dict[str, Any] | None = None) -> int:
        """The id of the first module that was like this one, or would be with attributes `own`."""
        key = self._known.get(id(module))
        if key is None:
            self._known[id(module)] = id(module)  # Ends cycles.
            items = (vars(module) if own is None else own).items()
            told = type(module), tuple([(name, self._of(value)) for name, value in items])
            key = self._first.setdefault(told, id(module))
            self._known[id(module)] = key
        return key

    def _of(self, value: Any) -> Hashable:
        kind = type(value)
        if kind in _PLAIN:
            return kind, value
        if isinstance(value, nn.Module):
            return nn.Module, self.key(value)
        if isinstance(value, Tensor) and value.is_meta:
            return kind, value.shape, value.stride(), value.dtype
        if issubclass(kind, dict):
            return kind, tuple([(self._of(k), self._of(part)) for k, part in value.items()])
        if kind is list or kind is tuple:
            return kind, tuple([self._of(part) for part in value])
        if kind is set:
            return kind, frozenset(map(self._of, value))
        return id(value)
