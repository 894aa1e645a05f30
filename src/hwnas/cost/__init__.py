"""What an architecture costs, computed: metrics, static costs, and costs of a whole space.

`static_costs` takes one built model. `cost_tables` takes a space: a cost of all its archs as a sum
of small tables (`CostTable`), or the maximum of such sums (`MaxTable`). Importing this package
does not import PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwnas.cost._counting import Counting, flops_meaning
from hwnas.cost._metrics import METRICS, Metric
from hwnas.cost._static import STATIC_METRICS, static_costs

if TYPE_CHECKING:
    from hwnas.cost._base import Cost, FunctionCost
    from hwnas.cost._feasible.feasible_set import FeasibleSet
    from hwnas.cost._feasible.filtered import FilteredSet
    from hwnas.cost._feasible.limits import Count
    from hwnas.cost._feasible.quantile import Quantile
    from hwnas.cost._filter import RangeFilter
    from hwnas.cost._latency import Block, LatencyTable
    from hwnas.cost._load import load_cost, load_costs
    from hwnas.cost._operators import OperatorSums, OperatorTables, operators_of
    from hwnas.cost._profiling.calibrated import calibrated
    from hwnas.cost._profiling.profile import (
        Progress,
        SpaceProfile,
        expected_seconds,
        measure_parts,
        pending,
        profile_space,
    )
    from hwnas.cost._profiling.variants import SpaceParts, Variant
    from hwnas.cost._space_costs import TracedCost, cost_tables
    from hwnas.cost._tables.max_table import MaxTable
    from hwnas.cost._tables.stored import load_table
    from hwnas.cost._tables.table import CostTable
    from hwnas.cost._tracing.bags import Operator

_LAZY = {
    "Cost": "_base",
    "Block": "_latency",
    "CostTable": "_tables.table",
    "Count": "_feasible.limits",
    "FeasibleSet": "_feasible.feasible_set",
    "FilteredSet": "_feasible.filtered",
    "FunctionCost": "_base",
    "LatencyTable": "_latency",
    "MaxTable": "_tables.max_table",
    "Operator": "_tracing.bags",
    "OperatorSums": "_operators",
    "OperatorTables": "_operators",
    "Progress": "_profiling.profile",
    "Quantile": "_feasible.quantile",
    "RangeFilter": "_filter",
    "SpaceParts": "_profiling.variants",
    "SpaceProfile": "_profiling.profile",
    "TracedCost": "_space_costs",
    "Variant": "_profiling.variants",
    "calibrated": "_profiling.calibrated",
    "cost_tables": "_space_costs",
    "expected_seconds": "_profiling.profile",
    "load_cost": "_load",
    "load_costs": "_load",
    "load_table": "_tables.stored",
    "measure_parts": "_profiling.profile",
    "operators_of": "_operators",
    "pending": "_profiling.profile",
    "profile_space": "_profiling.profile",
}

__all__ = [
    "METRICS",
    "STATIC_METRICS",
    "Block",
    "Cost",
    "CostTable",
    "Count",
    "Counting",
    "FeasibleSet",
    "FilteredSet",
    "FunctionCost",
    "LatencyTable",
    "MaxTable",
    "Metric",
    "Operator",
    "OperatorSums",
    "OperatorTables",
    "Progress",
    "Quantile",
    "RangeFilter",
    "SpaceParts",
    "SpaceProfile",
    "TracedCost",
    "Variant",
    "calibrated",
    "cost_tables",
    "expected_seconds",
    "flops_meaning",
    "load_cost",
    "load_costs",
    "load_table",
    "measure_parts",
    "operators_of",
    "pending",
    "profile_space",
    "static_costs",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
