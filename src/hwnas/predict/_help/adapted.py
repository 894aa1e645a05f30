"""A meta-learned network adapted to one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas.predict._base import DevicePredictor, Prediction
from hwnas.predict._help.encodings import Encoding
from hwnas.predict._help.meta import Meta, Tasks
from hwnas.space import Arch

_CHUNK = 256
_FLOOR = 0.1
"""Of the smallest measured latency: no prediction is below."""


class Scorer:
    """Scores of archs by the weights of one device, one set for each draw of z."""

    def __init__(
        self,
        meta: Meta,
        encoding: Encoding,
        weights: Mapping[str, Tensor],
        embeddings: Tensor | None,
    ) -> None:
        self._meta = meta
        self._encoding = encoding
        self._weights = {name: weight.detach() for name, weight in weights.items()}
        self._embeddings = embeddings

    def __call__(self, archs: Sequence[Arch]) -> NDArray[np.float64]:
        """(draws, n), in the units of the training's scores."""
        encoded = self._encoding(archs)
        draws, device = len(self._weights["fc5.bias"]), self._weights["fc5.bias"].device
        scores = np.empty((draws, len(archs)))
        for start in range(0, len(archs), _CHUNK):
            # Always as many rows, so that an arch's score does not depend on those beside it.
            rows = np.resize(np.arange(start, min(start + _CHUNK, len(archs))), _CHUNK)
            batch = encoded[torch.from_numpy(rows)].to(device)
            if batch.dim() == 3:
                batch = batch.transpose(0, 1)
            batch = batch.expand(draws, *batch.shape)
            with torch.no_grad():
                tasks = Tasks(batch, torch.empty(draws, 0, device=device), self._embeddings)
                found = self._meta.predict(self._weights, tasks).cpu().numpy()
            scores[:, start : start + _CHUNK] = found[:, : len(archs) - start]
        return scores


class AdaptedNetwork(DevicePredictor):
    """Latencies on the line that fits the measured latencies to the scores of their archs best.

    The deviation is that of a new observation of this line (from the residuals of the measured
    archs), with the spread of the scores over the draws of z added.

    Args:
        scorer: of the device.
        archs, latencies: what the device measured (ms).
        slope: ms for a score of 1 by the scaling of the samples' scores, in place of the line's
            where the scores do not rise with the latencies.
    """

    def __init__(
        self,
        scorer: Scorer,
        archs: Sequence[Arch],
        latencies: NDArray[np.float64],
        slope: float,
    ) -> None:
        self._scorer = scorer
        x = scorer(archs).mean(0)
        self._centre = float(x.mean())
        self._spread = float(((x - self._centre) ** 2).sum())
        self._level = float(latencies.mean())
        self._slope = 0.0
        if self._spread > 0:
            self._slope = float(((x - self._centre) * (latencies - self._level)).sum())
            self._slope /= self._spread
        if self._slope <= 0:
            self._slope = slope
        residuals = latencies - self._level - self._slope * (x - self._centre)
        self._variance = float((residuals**2).sum()) / max(len(x) - 2, 1)
        self._count = len(x)
        self._floor = _FLOOR * float(latencies.min())

    def scores(self, archs: Sequence[Arch]) -> NDArray[np.float64]:
        """(draws, n): what the networks of the draws of z give, before any scaling to ms."""
        return self._scorer(archs)

    def predict(self, archs: Sequence[Arch]) -> Prediction:
        """Latencies of n archs (ms)."""
        scores = self._scorer(archs)
        x = scores.mean(0) - self._centre
        mean = self._level + self._slope * x
        leverage = x**2 / self._spread if self._spread > 0 else 0.0
        line = self._variance * (1 + 1 / self._count + leverage)
        draws = (self._slope * scores.std(0)) ** 2
        return Prediction(np.maximum(mean, self._floor), np.sqrt(line + draws))
