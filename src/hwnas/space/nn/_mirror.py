"""Mirror: a torch layer class whose arguments may be choices."""

from __future__ import annotations

from typing import Any, Generic, TypeAlias, TypeVar

import torch
from torch import nn

from hwnas.space._elastic import layer
from hwnas.space._expr import Expr

Int: TypeAlias = int | Expr
Float: TypeAlias = float | Expr
Bool: TypeAlias = bool | Expr
Text: TypeAlias = str | Expr
Size: TypeAlias = int | Expr | tuple[int | Expr, ...]
Device: TypeAlias = torch.device | str | int | None
DType: TypeAlias = torch.dtype | None

M = TypeVar("M", bound=nn.Module)


class Mirror(Generic[M]):
    """Makes layers of the class `kind`; subclasses give `__call__` the signature of `kind`."""

    def __init__(self, kind: type[M]) -> None:
        self.kind = kind
        self.__doc__ = f"`torch.nn.{kind.__name__}` whose arguments may be choices."

    def _layer(self, arguments: dict[str, Any]) -> M:
        """The layer for the local variables of `__call__`."""
        del arguments["self"]
        return layer(self.kind, arguments)

    def __repr__(self) -> str:
        return f"hwnas.space.nn.{self.kind.__name__}"
