"""The estimators of latency: by module, by graph, and of the whole network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

from hwnas.device._base import Device, Inputs, Model
from hwnas.device._estimators.by_graph import by_graph
from hwnas.device._estimators.by_module import by_module
from hwnas.device._estimators.by_onnx import by_onnx
from hwnas.device._estimators.estimator import Estimator
from hwnas.device._estimators.grouping import GRANULARITIES
from hwnas.device._estimators.parts import Parts, network_part, parts_of
from hwnas.device._runtimes.export import export_onnx
from hwnas.device._store.store import MeasurementStore
from hwnas.errors import DeviceError


class Profiler(Estimator):
    """The whole network, measured: the true latency. See `Estimator` for the arguments."""

    _granularity = "network"

    def _parts(self, model: Model, inputs: Inputs) -> Parts:
        return network_part(model, inputs)


class _ByParts(Estimator):
    """Estimators that take networks apart.

    Args:
        granularity: `operator`: each layer, function or operator by itself. `unit`: a convolution
            or linear layer with the batch norm and activation after it. `block`: each call of the
            modules that `blocks` names, and the rest in units.
        blocks: classes, class names, or patterns of module paths such as `features.*`.
    """

    def __init__(
        self,
        device: Device | None = None,
        *,
        granularity: str = "operator",
        blocks: Sequence[str | type[nn.Module]] = (),
        n_run: int | None = None,
        n_warmup: int | None = None,
        outlier: float | None = None,
        max_measure_execution_time: float | None = None,
        time_scale: str = "m",
        store: MeasurementStore | None = None,
    ) -> None:
        if granularity not in GRANULARITIES:
            known = ", ".join(GRANULARITIES)
            raise DeviceError(f"granularity is one of {known}, not '{granularity}'")
        if (granularity == "block") != bool(blocks):
            raise DeviceError(
                "granularity 'block' needs `blocks`, and no other takes them: classes, class "
                "names, or patterns of module paths such as 'features.*'"
            )
        super().__init__(
            device,
            n_run=n_run,
            n_warmup=n_warmup,
            outlier=outlier,
            max_measure_execution_time=max_measure_execution_time,
            time_scale=time_scale,
            store=store,
        )
        self._granularity, self._blocks = granularity, tuple(blocks)


class LatencyEstimator(_ByParts):
    """By module: PyTorch's layers as the forward calls them, and the functions between them.

    The network is called once with its inputs, so it may do what it likes in its forward. Modules
    of other libraries and your own are looked into; to measure one as a whole, name its class in
    `blocks`. See `Estimator` for the other arguments.
    """

    def _parts(self, model: Model, inputs: Inputs) -> Parts:
        if not isinstance(model, nn.Module):
            raise DeviceError(
                f"{model} is a file and has no modules; use LatencyGraphEstimator for it"
            )
        return parts_of(by_module(model, inputs), self._granularity, self._blocks)


class LatencyGraphEstimator(_ByParts):
    """By graph: the operators of the graph that is exported.

    Of an ONNX file, and of a module that ONNX Runtime is to run, these are ONNX nodes, and `unit`
    is what ONNX Runtime makes one node of. Else, and for blocks, they are the operators that
    `torch.export` finds. See `Estimator` for the other arguments.
    """

    def _parts(self, model: Model, inputs: Inputs) -> Parts:
        fused = self._granularity == "unit"
        if isinstance(model, nn.Module):
            onnx = self.device.conditions.get("runtime") == "onnxruntime"
            if self._granularity == "block" or not onnx:
                return parts_of(by_graph(model, inputs), self._granularity, self._blocks)
            with TemporaryDirectory(prefix="hwnas-") as folder:
                path = export_onnx(model, inputs, Path(folder) / f"{type(model).__name__}.onnx")
                return by_onnx(path, inputs, fused=fused)
        if self._granularity == "block":
            raise DeviceError(f"{model} is a file and has no blocks; give the module")
        return by_onnx(Path(model), inputs, fused=fused)
