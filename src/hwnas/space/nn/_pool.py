"""Pooling and resizing."""

from __future__ import annotations

from torch import nn

from hwnas.space._expr import Expr
from hwnas.space.nn._mirror import Bool, Int, M, Mirror, Size


class _MaxPool(Mirror[M]):
    def __call__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: Bool = False,
    ) -> M:
        return self._layer(locals())


class _AvgPool1d(Mirror[M]):
    def __call__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: Bool = False,
        count_include_pad: Bool = True,
    ) -> M:
        return self._layer(locals())


class _AvgPool(Mirror[M]):
    def __call__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: Bool = False,
        count_include_pad: Bool = True,
        divisor_override: int | None = None,
    ) -> M:
        return self._layer(locals())


class _AdaptiveAvgPool(Mirror[M]):
    def __call__(self, output_size: int | Expr | tuple[int | Expr | None, ...] | None) -> M:
        return self._layer(locals())


class _AdaptiveMaxPool(Mirror[M]):
    def __call__(
        self,
        output_size: int | Expr | tuple[int | Expr | None, ...] | None,
        return_indices: bool = False,
    ) -> M:
        return self._layer(locals())


class _Upsample(Mirror[M]):
    def __call__(
        self,
        size: Size | None = None,
        scale_factor: float | Expr | tuple[float | Expr, ...] | None = None,
        mode: str | Expr = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> M:
        return self._layer(locals())


class _PixelShuffle(Mirror[M]):
    def __call__(self, upscale_factor: Int) -> M:
        return self._layer(locals())


MaxPool1d = _MaxPool(nn.MaxPool1d)
MaxPool2d = _MaxPool(nn.MaxPool2d)
MaxPool3d = _MaxPool(nn.MaxPool3d)
AvgPool1d = _AvgPool1d(nn.AvgPool1d)
AvgPool2d = _AvgPool(nn.AvgPool2d)
AvgPool3d = _AvgPool(nn.AvgPool3d)
AdaptiveAvgPool1d = _AdaptiveAvgPool(nn.AdaptiveAvgPool1d)
AdaptiveAvgPool2d = _AdaptiveAvgPool(nn.AdaptiveAvgPool2d)
AdaptiveAvgPool3d = _AdaptiveAvgPool(nn.AdaptiveAvgPool3d)
AdaptiveMaxPool1d = _AdaptiveMaxPool(nn.AdaptiveMaxPool1d)
AdaptiveMaxPool2d = _AdaptiveMaxPool(nn.AdaptiveMaxPool2d)
AdaptiveMaxPool3d = _AdaptiveMaxPool(nn.AdaptiveMaxPool3d)
Upsample = _Upsample(nn.Upsample)
PixelShuffle = _PixelShuffle(nn.PixelShuffle)
