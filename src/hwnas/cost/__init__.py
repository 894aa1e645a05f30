"""What an architecture costs, computed: metrics, and static costs of a built model.

Importing this package does not import PyTorch.
"""

from __future__ import annotations

from hwnas.cost._metrics import METRICS, Metric
from hwnas.cost._static import STATIC_METRICS, flops_meaning, static_costs

__all__ = ["METRICS", "STATIC_METRICS", "Metric", "flops_meaning", "static_costs"]
