"""Measuring models on devices: the contracts, this host as a device, runtimes, ONNX export."""

from __future__ import annotations

from hwnas.device._base import Device, Inputs, Model, Runnable, Runtime
from hwnas.device._engine import Timing
from hwnas.device._export import check_onnx, export_onnx
from hwnas.device._local import LocalDevice
from hwnas.device._measurement import Canary, Environment, Measurement, Percentiles

__all__ = [
    "Canary",
    "Device",
    "Environment",
    "Inputs",
    "LocalDevice",
    "Measurement",
    "Model",
    "Percentiles",
    "Runnable",
    "Runtime",
    "Timing",
    "check_onnx",
    "export_onnx",
]
