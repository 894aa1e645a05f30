"""What a few latencies of a device teach: the posterior, and a mix of the sources beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hwnas.predict._lines import Line, nonnegative, proportional
from hwnas.predict._metabma._bank import Bank
from hwnas.predict._metabma._posterior import Posterior, mixed, posteriors
from hwnas.predict._metabma._terms import Terms

_MOST = 0.5
"""Weight of the mix if it foretells without error what is left out."""
_FEWEST = 3
"""With fewer latencies, what is left out tells nothing."""


@dataclass(frozen=True)
class Adapted:
    """The posterior of the terms, averaged with a sum of the sources of weights from 0 up.

    The posterior allows sources to count negatively, which a few unlucky latencies exploit; the mix
    cannot follow a device unlike all sources. So each counts by how little it errs on latencies
    that are left out. On sources left out, either alone is worse.

    Attributes:
        found: the posterior, on each scale.
        terms: of the linear scale.
        mix: of the sources' latencies, each in units of its mean.
        share: weight of the mix.
    """

    found: Sequence[Posterior]
    terms: Terms
    mix: Line | None
    share: float

    @staticmethod
    def of(
        banks: Sequence[Bank],
        terms: Terms,
        blocks: Sequence[Sequence[Tensor]],
        latencies: Tensor,
        *,
        sources: bool = True,
    ) -> Adapted:
        """Of n archs that were measured.

        Args:
            banks: of both scales.
            terms: of the linear scale.
            blocks: of the archs, by scale.
            latencies: (n,) in ms.
            sources: whether there are any; else the terms are of physical amounts.
        """
        found = posteriors(banks, blocks, latencies)
        if not sources or len(latencies) < _FEWEST:
            return Adapted(found, terms, None, 0.0)
        y = latencies.numpy()
        x = terms.ratios(blocks[0]).numpy()
        each = proportional(x.mean(axis=1), y).weights[0] / x.shape[1]
        mix = nonnegative(x, y, np.full(x.shape[1], each))
        own = sum(p.probability * p.left_out for p in found)
        square = float(torch.as_tensor(own).square().mean())
        return Adapted(found, terms, mix, _MOST * square / (square + mix.error**2 + 1e-300))

    def predict(self, blocks: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (n,) of latencies in ms."""
        mean, std = mixed(self.found, blocks)
        if self.mix is None:
            return mean, std
        other, _ = map(torch.from_numpy, self.mix(self.terms.ratios(blocks[0]).numpy()))
        apart = other - mean
        spread = (std.square() + self.share * (1 - self.share) * apart.square()).sqrt()
        return mean + self.share * apart, spread
