"""BRP-NAS: a graph network trained on many latencies of the device itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas.errors import PredictError
from hwnas.predict._base import DevicePredictor, LatencyPredictor, Prediction
from hwnas.predict._baselines.base import Baseline
from hwnas.predict._baselines.network import Network, Training, trained
from hwnas.predict._descriptors.encodings import encode_graph
from hwnas.predict._descriptors.nasbench201 import EDGES
from hwnas.predict._stored import PredictorState
from hwnas.space import Arch

_BATCH = 2048


class BrpNas(Baseline):
    """The latency predictor of BRP-NAS (Dudziak et al., NeurIPS 2020, section 3.1).

    It knows nothing but the device's own measurements, and needs hundreds: the paper takes 900,
    and 100 more to tell when to stop; here a tenth of what is given serves for that. Cells of
    NAS-Bench-201 are graphs of operations with a global node that is read; other archs are vectors
    of one-hot decisions. Sources do not matter.

    Args:
        device: of the training, such as `cuda`; `auto` takes a GPU if there is one.
        options: fields of `Training`.
    """

    name = "brp-nas"
    needs_sources = False
    least = 10

    def __init__(self, seed: int = 0, device: str = "auto", **options: Any) -> None:
        super().__init__(seed)
        known = {field.name for field in fields(Training)}
        if wrong := sorted(set(options) - known):
            raise PredictError(f"brp-nas has no option '{wrong[0]}'; it has {', '.join(known)}")
        self.training = Training(**options)
        self.device = device

    def _adapted(self, archs: Sequence[Arch], latencies: NDArray[np.float64]) -> DevicePredictor:
        where = self._where()
        adjacency = _adjacency().to(where) if self._is_graph else None
        mean = float(latencies.mean())
        spread = float(latencies.std()) or mean
        target = torch.from_numpy((latencies - mean) / spread).float().to(where)
        network, error = trained(
            self._inputs(archs).to(where), target, adjacency, self.training, self.seed
        )
        floor = 1e-3 * float(latencies.min())
        return _NetworkDevice(self._inputs, network.cpu(), mean, spread, spread * error, floor)

    @property
    def _is_graph(self) -> bool:
        return self.space == "nasbench201"

    def _inputs(self, archs: Sequence[Arch]) -> Tensor:
        if self._is_graph:
            return torch.from_numpy(encode_graph(archs).nodes)
        return torch.from_numpy(self.descriptor.groups(archs)["decisions"]).float()

    def _where(self) -> torch.device:
        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            return torch.empty(0, device=name).device
        except (RuntimeError, AssertionError) as error:
            raise PredictError(f"brp-nas: there is no device '{name}' to train on") from error

    def state(self) -> PredictorState:
        """See `LatencyPredictor`."""
        bare = super().state()
        settings = {**bare.settings, "device": self.device, "training": asdict(self.training)}
        return PredictorState(bare.space, bare.input_shape, bare.num_classes, settings)

    @classmethod
    def of_state(cls, state: PredictorState) -> LatencyPredictor:
        """See `LatencyPredictor`."""
        try:
            made = cls(
                state.setting("seed", int),
                state.setting("device", str),
                **state.setting("training", dict),
            )
        except TypeError as error:
            raise PredictError(
                "the stored predictor is damaged: its training has a wrong type"
            ) from error
        made._for(state.space, state.input_shape, state.num_classes)
        return made


def _adjacency() -> Tensor:
    """Of the input, the six operations, the output and the global node; each row sums to 1.

    An operation takes what those that end at its node give, the global node takes of all.
    """
    output = len(EDGES) + 1
    ends = {0: [0], **{node: [] for node, _ in EDGES}}
    for place, (node, _) in enumerate(EDGES, start=1):
        ends[node].append(place)
    matrix = torch.eye(output + 2)
    for place, (_, source) in enumerate(EDGES, start=1):
        matrix[place, ends[source]] = 1
    matrix[output, ends[max(ends)]] = 1
    matrix[output + 1] = 1
    return matrix / matrix.sum(1, keepdim=True)


@dataclass(frozen=True)
class _NetworkDevice(DevicePredictor):
    """A trained network; latency is `mean + spread x output` ms."""

    inputs: Callable[[Sequence[Arch]], Tensor]
    network: Network
    mean: float
    spread: float
    error: float
    floor: float

    def predict(self, archs: Sequence[Arch]) -> Prediction:
        """See `DevicePredictor`."""
        with torch.no_grad():
            parts = [self.network(part) for part in torch.split(self.inputs(archs), _BATCH)]
        scores = torch.cat(parts).double().numpy() if parts else np.zeros(0)
        mean = np.maximum(self.mean + self.spread * scores, self.floor)
        return Prediction(mean, np.full_like(mean, self.error))
