"""How much wider than promised intervals must be, told from the measured archs themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hwnas.predict._metabma._posterior import Posterior

_LEAST, _MOST = 0.25, 4.0
_NORMAL = 1.6448536269514722
"""Half the width of a 90 % interval in standard deviations."""
_COVERED = 0.95
"""More than 90 %: the factor suits the mean of the devices, and some are harder."""
_RIDGE = 10.0
_FEWEST, _LARGEST = 5, 20
"""Numbers of archs that the coefficients were learnt at; they say nothing of others."""


@dataclass(frozen=True)
class Calibration:
    """The factor on standard deviations.

    Its logarithm is linear in two numbers: the logarithm of how surprising each measured arch is
    to the others (root mean square of leave-one-out errors in standard deviations), and of how
    many there are. The coefficients are those that would have made 90 % intervals cover as much
    on the source devices, each foretold by others: split conformal prediction (Lei et al. 2018)
    across devices in place of samples.

    Attributes:
        coefficients: (3,): level, of the surprise, of the number.
    """

    coefficients: Tensor

    @staticmethod
    def none() -> Calibration:
        """Surprise counts by half; for a single source, or none, from which it cannot be learnt."""
        return Calibration(torch.tensor([0.0, 0.5, 0.0], dtype=torch.float64))

    @staticmethod
    def fit(inputs: Tensor, errors: Sequence[Tensor]) -> Calibration:
        """Of rows `describe` (t, 3) and errors in standard deviations of other archs, by row."""
        wanted = torch.stack([e.abs().quantile(_COVERED) for e in errors]).clamp_min(1e-3) / _NORMAL
        penalty = _RIDGE * torch.diag(torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64))
        inner = inputs.mT @ inputs + penalty
        return Calibration(torch.linalg.solve(inner, inputs.mT @ wanted.log()))

    def factor(self, found: Sequence[Posterior]) -> float:
        """The factor for what a device's samples left."""
        return float((describe(found) @ self.coefficients).exp().clamp(_LEAST, _MOST))


def describe(found: Sequence[Posterior]) -> Tensor:
    """(3,): what the factor is told from."""
    squares = sum(p.probability * p.surprise.mean() for p in found if p.probability > 1e-6)
    n = len(found[0].surprise)
    surprise = 0.5 * torch.as_tensor(squares, dtype=torch.float64).clamp(1e-4, 1e4).log()
    few = n < 3
    return torch.tensor(
        [1.0, 0.0 if few else float(surprise), math.log(min(max(n, _FEWEST), _LARGEST) / 10)],
        dtype=torch.float64,
    )
