"""Normalisation and dropout."""

from __future__ import annotations

from torch import nn

from hwnas.space.nn._mirror import Bool, Device, DType, Float, Int, M, Mirror, Size


class _BatchNorm(Mirror[M]):
    def __call__(
        self,
        num_features: Int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: Bool = True,
        track_running_stats: bool = True,
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


class _InstanceNorm(Mirror[M]):
    def __call__(
        self,
        num_features: Int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: Bool = False,
        track_running_stats: bool = False,
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


class _GroupNorm(Mirror[M]):
    def __call__(
        self,
        num_groups: Int,
        num_channels: Int,
        eps: float = 1e-5,
        affine: Bool = True,
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


class _LayerNorm(Mirror[M]):
    def __call__(
        self,
        normalized_shape: Size | list[Int],
        eps: float = 1e-5,
        elementwise_affine: Bool = True,
        bias: Bool = True,
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


class _RMSNorm(Mirror[M]):
    def __call__(
        self,
        normalized_shape: Size | list[Int],
        eps: float | None = None,
        elementwise_affine: Bool = True,
        device: Device = None,
        dtype: DType = None,
    ) -> M:
        return self._layer(locals())


class _Dropout(Mirror[M]):
    def __call__(self, p: Float = 0.5, inplace: bool = False) -> M:
        return self._layer(locals())


BatchNorm1d = _BatchNorm(nn.BatchNorm1d)
BatchNorm2d = _BatchNorm(nn.BatchNorm2d)
BatchNorm3d = _BatchNorm(nn.BatchNorm3d)
InstanceNorm1d = _InstanceNorm(nn.InstanceNorm1d)
InstanceNorm2d = _InstanceNorm(nn.InstanceNorm2d)
InstanceNorm3d = _InstanceNorm(nn.InstanceNorm3d)
GroupNorm = _GroupNorm(nn.GroupNorm)
LayerNorm = _LayerNorm(nn.LayerNorm)
RMSNorm = _RMSNorm(nn.RMSNorm)
Dropout = _Dropout(nn.Dropout)
Dropout1d = _Dropout(nn.Dropout1d)
Dropout2d = _Dropout(nn.Dropout2d)
Dropout3d = _Dropout(nn.Dropout3d)
