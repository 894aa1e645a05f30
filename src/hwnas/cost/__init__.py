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
    from hwnas.cost._feasible import FeasibleSet
    from hwnas.cost._filter import RangeFilter
    from hwnas.cost._filtered import FilteredSet
    from hwnas.cost._latency import Block, LatencyTable
    from hwnas.cost._limits import Count
    from hwnas.cost._load import load_cost, load_costs
    from hwnas.cost._max_table import MaxTable
    from hwnas.cost._quantile import Quantile
    from hwnas.cost._space_costs import TracedCost, cost_tables
    from hwnas.cost._stored import load_table
    from hwnas.cost._table import CostTable

_LAZY = {
    "Cost": "_base",
    "Block": "_latency",
    "CostTable": "_table",
    "Count": "_limits",
    "FeasibleSet": "_feasible",
    "FilteredSet": "_filtered",
    "FunctionCost": "_base",
    "LatencyTable": "_latency",
    "MaxTable": "_max_table",
    "Quantile": "_quantile",
    "RangeFilter": "_filter",
    "TracedCost": "_space_costs",
    "cost_tables": "_space_costs",
    "load_cost": "_load",
    "load_costs": "_load",
    "load_table": "_stored",
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
    "Quantile",
    "RangeFilter",
    "TracedCost",
    "cost_tables",
    "flops_meaning",
    "load_cost",
    "load_costs",
    "load_table",
    "static_costs",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
