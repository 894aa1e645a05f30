"""Latency as a line over MACs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.predict._base import DevicePredictor
from hwnas.predict._baselines.base import Baseline, LineDevice
from hwnas.predict._baselines.macs import Macs
from hwnas.predict._lines import nonnegative, proportional
from hwnas.space import Arch


class Flops(Baseline):
    """Latency is a constant and a share of the multiply-accumulates, both from 0 up.

    With one measurement it is proportional to the MACs. Sources do not matter.
    """

    name = "flops"
    needs_sources = False

    def _prepare(self) -> None:
        self._macs = Macs(self.space, self.input_shape, self.num_classes)

    def _adapted(self, archs: Sequence[Arch], latencies: NDArray[np.float64]) -> DevicePredictor:
        macs = self._macs(archs)
        unit = float(macs.mean()) or 1.0
        share = macs / unit
        if len(archs) == 1 or np.ptp(share) == 0:
            line = proportional(np.maximum(share, 1e-12), latencies)
        else:
            line = nonnegative(share[:, None], latencies, ridge=False)
        return LineDevice(lambda archs: self._macs(archs)[:, None] / unit, line)
