"""Linear layers, embeddings and attention."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hwnas.space.nn._mirror import Bool, Device, DType, Float, Int, M, Mirror


class _Linear(Mirror[M]):
    def __call__(
        self,
        in_features: Int,
        out_features: Int,
        bias: Bool = True,
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


class _Bilinear(Mirror[M]):
    def __call__(
        self,
        in1_features: Int,
        in2_features: Int,
        out_features: Int,
        bias: Bool = True,
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


class _Embedding(Mirror[M]):
    def __call__(
        self,
        num_embeddings: Int,
        embedding_dim: Int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


class _MultiheadAttention(Mirror[M]):
    def __call__(
        self,
        embed_dim: Int,
        num_heads: Int,
        dropout: Float = 0.0,
        bias: Bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: Int | None = None,
        vdim: Int | None = None,
        batch_first: bool = False,
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


class _TransformerEncoderLayer(Mirror[M]):
    def __call__(
        self,
        d_model: Int,
        nhead: Int,
        dim_feedforward: Int = 2048,
        dropout: Float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = torch.nn.functional.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: Bool = False,
        bias: Bool = True,
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


Linear = _Linear(nn.Linear)
Bilinear = _Bilinear(nn.Bilinear)
Embedding = _Embedding(nn.Embedding)
MultiheadAttention = _MultiheadAttention(nn.MultiheadAttention)
TransformerEncoderLayer = _TransformerEncoderLayer(nn.TransformerEncoderLayer)
