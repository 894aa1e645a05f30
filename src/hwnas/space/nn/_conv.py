"""Convolutions."""

from __future__ import annotations

from torch import nn

from hwnas.space.nn._mirror import Bool, Device, DType, Int, M, Mirror, Size, Text


class _Conv(Mirror[M]):
    def __call__(
        self,
        in_channels: Int,
        out_channels: Int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: Int = 1,
        bias: Bool = True,
        padding_mode: Text = "zeros",
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


class _ConvTranspose(Mirror[M]):
    def __call__(
        self,
        in_channels: Int,
        out_channels: Int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: Int = 1,
        bias: Bool = True,
        dilation: Size = 1,
        padding_mode: Text = "zeros",
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


Conv1d = _Conv(nn.Conv1d)
Conv2d = _Conv(nn.Conv2d)
Conv3d = _Conv(nn.Conv3d)
ConvTranspose1d = _ConvTranspose(nn.ConvTranspose1d)
ConvTranspose2d = _ConvTranspose(nn.ConvTranspose2d)
ConvTranspose3d = _ConvTranspose(nn.ConvTranspose3d)
