"""What is known before the device at hand measured anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas.predict._metabma._bank import Bank
from hwnas.predict._metabma._calibration import Calibration
from hwnas.predict._metabma._features import Features, Groups
from hwnas.predict._metabma._learn import LOGS, learnt
from hwnas.predict._metabma._terms import Terms
from hwnas.predict._source_models import SourceModels


@dataclass(frozen=True)
class Prior:
    """Everything that was learnt from the sources; without any, what physics says.

    Attributes:
        features: standardised groups.
        models: latencies of any arch on the sources; None without any.
        terms: of both scales.
        banks: of both scales.
        calibration: of the deviations.
    """

    features: Features
    models: SourceModels | None
    terms: tuple[Terms, ...]
    banks: tuple[Bank, ...]
    calibration: Calibration

    @staticmethod
    def fit(
        groups: Groups, latencies: Mapping[str, NDArray[np.float64]], settings: int, seed: int
    ) -> Prior:
        """Of n archs and the latencies (n,) in ms of source devices, NaN where not measured."""
        features = Features.of(groups)
        models = SourceModels.fit(groups, latencies) if latencies else None
        foretold = _foretold(groups, features, models)
        measured = (
            torch.from_numpy(np.stack(list(latencies.values()), 1)) if latencies else foretold
        )
        banks, calibration = learnt(foretold, measured, features(groups), settings, seed)
        every = range(foretold.shape[1])
        terms = tuple(Terms.of(foretold, every, log) for log in LOGS)
        return Prior(features, models, terms, tuple(banks), calibration)

    def blocks(self, groups: Groups) -> list[list[Tensor]]:
        """The terms of archs on both scales."""
        features = self.features(groups)
        foretold = _foretold(groups, self.features, self.models)
        return [terms(foretold, features) for terms in self.terms]


def _foretold(groups: Groups, features: Features, models: SourceModels | None) -> Tensor:
    """Latencies (n, k) on the sources; without any, one that grows with the physical amounts."""
    if models is not None:
        return torch.from_numpy(models.predict(groups))
    name = "physics" if "physics" in features.standards else next(iter(features.standards))
    standard = features.standards[name]
    amount = standard(torch.from_numpy(groups[name])).sum(1, keepdim=True)
    columns = float((standard.scale > 0).sum())
    foretold: Tensor = (1 + 0.3 * amount / columns**0.5).clamp_min(0.1)
    return foretold
