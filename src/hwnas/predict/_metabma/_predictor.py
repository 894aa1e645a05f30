"""MetaBMA, the predictor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hwnas.errors import PredictError
from hwnas.predict._base import DevicePredictor, LatencyPredictor, Prediction
from hwnas.predict._descriptor import Descriptor
from hwnas.predict._descriptors import load_descriptor
from hwnas.predict._metabma._adapted import Adapted
from hwnas.predict._metabma._design import chosen
from hwnas.predict._metabma._posterior import posteriors
from hwnas.predict._metabma._prior import Prior
from hwnas.predict._metabma._stored import restored, stored
from hwnas.predict._metabma._timer import resolution
from hwnas.predict._samples import checked_latencies
from hwnas.predict._sources import SourceTable
from hwnas.predict._stored import PredictorState
from hwnas.space import Arch
from hwnas.zoo import load_space

_CANDIDATES = 900
"""More candidates are thinned out to these before a design."""
_DRAWN = 500
"""Archs that say how the space's descriptors vary, where no source does."""
_EQUAL = 1e-5
"""Latencies that differ by less than this part of the typical one are equal: ranks tie."""
_LEAST = 0.3
"""No prediction is below this part of the least measured latency."""


class MetaBMA(LatencyPredictor):
    """Bayesian model averaging over Gaussian processes, with other devices as prior knowledge.

    A latency is a sum of terms: the mean of the sources' latencies, deviations along single
    sources, their principal components and groups of the descriptor, and noise with outliers; see
    `Terms` and `Bank`. How large each may be is not chosen but averaged over, weighted by evidence
    (Hoeting et al. 1999) and by a prior that is learnt from source devices left out in turn. All
    is closed-form in 64-bit floats. Constants were chosen on
    validation devices and on sources left out; docs/prediction.md says how, and the one exception.

    Without sources, physical amounts stand for one, and nothing is known of the settings.

    Args:
        seed: of the settings that are averaged over.
        settings: how many these are, on each of two scales.
        descriptor: of the space; by default the one that `load_descriptor` knows.
    """

    name = "metabma"
    needs_sources = False

    def __init__(
        self, seed: int = 0, settings: int = 2500, descriptor: Descriptor | None = None
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._given = descriptor
        self._descriptor = descriptor
        self._prior: Prior | None = None

    def fit(self, sources: SourceTable) -> None:
        """See `LatencyPredictor`."""
        descriptor = self._given or load_descriptor(
            sources.space, sources.input_shape, sources.num_classes
        )
        archs, latencies = sources.archs, sources.latencies
        if not latencies:  # The table tells the space alone.
            space = sources.space
            if isinstance(space, str):
                space = load_space(space, sources.input_shape, sources.num_classes)
            chance = np.random.default_rng(self._seed)
            archs = tuple(space.sample(chance) for _ in range(_DRAWN))
        self._prior = Prior.fit(descriptor.groups(archs), latencies, self._settings, self._seed)
        self._descriptor = descriptor
        self.space = sources.space
        self.input_shape = sources.input_shape
        self.num_classes = sources.num_classes

    def adapt(self, archs: Sequence[Arch], latencies: Sequence[float]) -> DevicePredictor:
        """See `LatencyPredictor`; one latency is enough."""
        prior, descriptor = self._learnt()
        y = torch.from_numpy(checked_latencies(archs, latencies))
        blocks = prior.blocks(descriptor.groups(archs))
        sources = prior.models is not None
        adapted = Adapted.of(prior.banks, prior.terms[0], blocks, y, sources=sources)
        return _Device(descriptor, prior, adapted, blocks, y)

    def suggest(
        self,
        n: int,
        candidates: Sequence[Arch],
        *,
        measured: Sequence[tuple[Arch, float]] = (),
    ) -> list[Arch]:
        """See `LatencyPredictor`."""
        prior, descriptor = self._learnt()
        if n > len(candidates):
            raise PredictError(f"{n} archs are asked for, and there are {len(candidates)}")
        pool = list(candidates)
        if len(pool) > _CANDIDATES:
            drawn = np.random.default_rng(self._seed).permutation(len(pool))[:_CANDIDATES]
            pool = [pool[i] for i in sorted(drawn.tolist())]
        blocks = prior.blocks(descriptor.groups(pool))
        if not measured:
            places = chosen(n, prior.banks, [bank.weights for bank in prior.banks], blocks)
        else:
            archs = [arch for arch, _ in measured]
            y = torch.from_numpy(checked_latencies(archs, [latency for _, latency in measured]))
            known = prior.blocks(descriptor.groups(archs))
            settings = [found.settings for found in posteriors(prior.banks, known, y)]
            places = chosen(n, prior.banks, settings, blocks, known)
        return [pool[place] for place in places]

    def state(self) -> PredictorState:
        """See `LatencyPredictor`."""
        prior, _ = self._learnt()
        settings, arrays = stored(prior)
        return PredictorState(
            self.space, self.input_shape, self.num_classes, {"seed": self._seed, **settings}, arrays
        )

    @classmethod
    def of_state(cls, state: PredictorState) -> MetaBMA:
        """See `LatencyPredictor`."""
        predictor = cls(state.setting("seed", int))
        predictor.space = state.space
        predictor.input_shape = state.input_shape
        predictor.num_classes = state.num_classes
        predictor._descriptor = load_descriptor(state.space, state.input_shape, state.num_classes)
        predictor._prior = restored(state)
        return predictor

    def _learnt(self) -> tuple[Prior, Descriptor]:
        if self._prior is None or self._descriptor is None:
            raise PredictError("the predictor has learnt nothing yet: call fit first")
        return self._prior, self._descriptor


class _Device(DevicePredictor):
    """A device that measured a few latencies (n,) in ms."""

    def __init__(
        self,
        descriptor: Descriptor,
        prior: Prior,
        adapted: Adapted,
        blocks: Sequence[Sequence[Tensor]],
        latencies: Tensor,
    ) -> None:
        self._descriptor = descriptor
        self._prior = prior
        self._adapted = adapted
        self._factor = prior.calibration.factor(adapted.found)
        self._least = _LEAST * float(latencies.min())
        _, std = adapted.predict(blocks)
        step = resolution(latencies.tolist())
        # A coarse clock makes equal what it cannot tell apart; noise that is larger hides the step.
        coarse = step > self._factor * float(std.median())
        self._step = step if coarse else _EQUAL * float(latencies.median())

    def predict(self, archs: Sequence[Arch]) -> Prediction:
        """See `DevicePredictor`."""
        mean, std = self._adapted.predict(self._prior.blocks(self._descriptor.groups(archs)))
        mean = ((mean / self._step).round() * self._step).clamp_min(self._least)
        return Prediction(mean.numpy(), (self._factor * std).numpy())
