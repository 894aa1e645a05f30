"""Recurrent layers."""

from __future__ import annotations

from torch import nn

from hwnas.space.nn._mirror import Bool, Device, DType, Float, Int, M, Mirror


class _LSTM(Mirror[M]):
    def __call__(
        self,
        input_size: Int,
        hidden_size: Int,
        num_layers: Int = 1,
        bias: Bool = True,
        batch_first: bool = False,
        dropout: Float = 0.0,
        bidirectional: bool = False,
        proj_size: Int = 0,
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


class _GRU(Mirror[M]):
    def __call__(
        self,
        input_size: Int,
        hidden_size: Int,
        num_layers: Int = 1,
        bias: Bool = True,
        batch_first: bool = False,
        dropout: Float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


class _RNN(Mirror[M]):
    def __call__(
        self,
        input_size: Int,
        hidden_size: Int,
        num_layers: Int = 1,
        nonlinearity: str = "tanh",
        bias: Bool = True,
        batch_first: bool = False,
        dropout: Float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


LSTM = _LSTM(nn.LSTM)
GRU = _GRU(nn.GRU)
RNN = _RNN(nn.RNN)
