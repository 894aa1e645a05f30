"""MetaBMA: Bayesian model averaging over Gaussian processes, with devices as prior knowledge."""

from __future__ import annotations

from hwnas.predict._metabma._predictor import MetaBMA

__all__ = ["MetaBMA"]
