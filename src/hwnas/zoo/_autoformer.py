"""AutoFormer: vision transformers that choose width, depth, heads and expansion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwnas.errors import SpaceError
from hwnas.space import Choice, ModelSpace, Repeat, floor
from hwnas.space import nn as snn

HEAD = 64
"""Features of one head; fixed, so that queries, keys and values have 64 x heads."""

SIZES: dict[str, tuple[Sequence[int], Sequence[int], Sequence[int]]] = {
    "tiny": ((192, 216, 240), (3, 4), (12, 13, 14)),
    "small": ((320, 384, 448), (5, 6, 7), (12, 13, 14)),
    "base": ((528, 576, 624), (8, 9, 10), (14, 15, 16)),
}
"""Widths, heads and depths of the three published spaces."""

EXPANSIONS = (3.0, 3.5, 4.0)


class _RelativePosition(nn.Module):
    """A vector for each pair of tokens, by how far apart they are in rows and columns.

    Chen et al., ICCV 2021, section 3.2 (the relative position of Wu et al., ICCV 2021). The class
    token has a place of its own in both tables.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        self.row_table = _table(2 * side + 2, HEAD)
        self.column_table = _table(2 * side + 2, HEAD)
        place = np.arange(side * side)
        for name, at in (("rows", place // side), ("columns", place % side)):
            distance = at[None, :] - at[:, None] + side + 1
            index = torch.tensor(np.pad(distance, ((1, 0), (1, 0))))
            self.register_buffer(name, index, persistent=False)

    def forward(self) -> Tensor:
        """(tokens, tokens, HEAD)."""
        return F.embedding(self.rows, self.row_table) + F.embedding(self.columns, self.column_table)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int, side: int, relative: bool) -> None:
        super().__init__()
        self.query = snn.Linear(width, HEAD * heads)
        self.key = snn.Linear(width, HEAD * heads)
        self.value = snn.Linear(width, HEAD * heads)
        self.project = snn.Linear(HEAD * heads, width)
        self.key_position = _RelativePosition(side) if relative else None
        self.value_position = _RelativePosition(side) if relative else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) to the same shape."""
        q, k, v = (  # (N, heads, tokens, HEAD)
            part(x).unflatten(2, (-1, HEAD)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        weights = q @ k.transpose(2, 3)  # (N, heads, tokens, tokens)
        if self.key_position is not None:
            weights = weights + torch.einsum("nhqc,qkc->nhqk", q, self.key_position())
        weights = (weights * HEAD**-0.5).softmax(3)
        y = weights @ v
        if self.value_position is not None:
            y = y + torch.einsum("nhqk,qkc->nhqc", weights, self.value_position())
        out: Tensor = self.project(y.transpose(1, 2).flatten(2))
        return out


class _Block(nn.Module):
    def __init__(
        self, width: int, side: int, relative: bool, name: str, heads: Sequence[int]
    ) -> None:
        super().__init__()
        hidden = floor(width * Choice(EXPANSIONS, label=f"{name}.expand"))
        self.norm1 = snn.LayerNorm(width)
        self.attention = _Attention(width, Choice(heads, label=f"{name}.heads"), side, relative)
        self.norm2 = snn.LayerNorm(width)
        self.mlp = nn.Sequential(snn.Linear(width, hidden), nn.GELU(), snn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


class AutoFormer(nn.Module):
    """Patches of 16 pixels, a class token, `depth` blocks, and a linear head.

    Args:
        size: one of `SIZES`.
        relative: relative positions in attention, as published; without them the networks are
            those of DeiT (Touvron et al., ICML 2021) when heads x 64 is the width.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        size: str = "tiny",
        relative: bool = True,
        patch: int = 16,
    ) -> None:
        super().__init__()
        channels, height, breadth = input_shape
        if size not in SIZES:
            raise SpaceError(f"AutoFormer: the size '{size}' is none of {', '.join(SIZES)}")
        if height != breadth or height % patch:
            raise SpaceError(
                f"AutoFormer: images must be square with a multiple of {patch} pixels a side, "
                f"not {height} x {breadth}"
            )
        widths, heads, depths = SIZES[size]
        side = height // patch
        width = Choice(widths, label="width")
        self.patches = snn.Conv2d(channels, width, patch, patch)
        self.token = snn.parameter(1, 1, width, init=_normal)
        self.position = snn.parameter(1, side * side + 1, width, init=_normal)
        self.blocks = Repeat(
            lambda i: _Block(width, side, relative, f"block{i + 1}", heads),
            Choice(depths, label="depth"),
        )
        self.norm = snn.LayerNorm(width)
        self.head = snn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to class scores (N, num_classes)."""
        x = self.patches(x).flatten(2).transpose(1, 2)  # (N, patches, width)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), 1) + self.position
        scores: Tensor = self.head(self.norm(self.blocks(x))[:, 0])
        return scores


def _table(rows: int, width: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(rows, width), std=0.02))


def _normal(tensor: Tensor) -> None:
    nn.init.trunc_normal_(tensor, std=0.02)


def autoformer(
    input_shape: tuple[int, int, int] = (3, 224, 224),
    num_classes: int = 1000,
    size: str = "tiny",
    relative: bool = True,
) -> ModelSpace:
    """Vision transformers of AutoFormer (Chen et al., ICCV 2021, section 3.1 and table 1).

    `width`, `depth`, and for each block `block1.heads` and `block1.expand` (hidden features of the
    MLP over the width). About 3 x 10^11 networks (tiny).

    Args:
        input_shape: square images, sides in multiples of 16 pixels.
        size: `tiny`, `small` or `base`.
        relative: see `AutoFormer`.
    """
    return ModelSpace(AutoFormer, input_shape, num_classes, size, relative)
