"""Measuring models on devices: the contracts, this host as a device, runtimes, ONNX export."""

from __future__ import annotations

from hwnas.device._base import Device, Inputs, Model, Runtime
from hwnas.device._estimators.calibration import Calibration
from hwnas.device._estimators.estimator import Estimator
from hwnas.device._estimators.estimators import LatencyEstimator, LatencyGraphEstimator, Profiler
from hwnas.device._estimators.latency import LatencyEstimate, Missing, Share
from hwnas.device._health import Health, check_health
from hwnas.device._inputs import per_model
from hwnas.device._item import Item
from hwnas.device._local import LocalDevice
from hwnas.device._measurement import Canary, Environment, Measurement, Percentiles, TrimmedMean
from hwnas.device._paths import cache_folder
from hwnas.device._remote.remote import RemoteDevice
from hwnas.device._runtimes.export import check_onnx, export_onnx
from hwnas.device._runtimes.onnx import example_inputs
from hwnas.device._saved_model import TimedSavedModel, measure_saved_model
from hwnas.device._simulated import SimulatedDevice
from hwnas.device._store.files import export_store, import_store
from hwnas.device._store.store import MeasurementStore, Stored
from hwnas.device._timing.runnable import Runnable
from hwnas.device._timing.timing import Timing
from hwnas.device._worker_device import WorkerDevice, where_of

__all__ = [
    "Calibration",
    "Canary",
    "Device",
    "Environment",
    "Estimator",
    "Health",
    "Inputs",
    "Item",
    "LatencyEstimate",
    "LatencyEstimator",
    "LatencyGraphEstimator",
    "LocalDevice",
    "Measurement",
    "MeasurementStore",
    "Missing",
    "Model",
    "Percentiles",
    "Profiler",
    "RemoteDevice",
    "Runnable",
    "Runtime",
    "Share",
    "SimulatedDevice",
    "Stored",
    "TimedSavedModel",
    "Timing",
    "TrimmedMean",
    "WorkerDevice",
    "cache_folder",
    "check_health",
    "check_onnx",
    "example_inputs",
    "export_onnx",
    "export_store",
    "import_store",
    "measure_saved_model",
    "per_model",
    "where_of",
]
