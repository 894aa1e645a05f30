"""hwnas: neural networks that are accurate and keep a hardware budget on your devices."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from hwnas._estimate import Estimate as Estimate
    from hwnas._search import Result as Result
    from hwnas._search import search as search
    from hwnas._train import train as train
    from hwnas.budget import Budget as Budget
    from hwnas.device import LocalDevice as LocalDevice
    from hwnas.errors import HwnasError as HwnasError
    from hwnas.errors import InfeasibleTrial as InfeasibleTrial
    from hwnas.space import Cell as Cell
    from hwnas.space import Choice as Choice
    from hwnas.space import FunctionSpace as FunctionSpace
    from hwnas.space import InputChoice as InputChoice
    from hwnas.space import LayerChoice as LayerChoice
    from hwnas.space import ModelSpace as ModelSpace
    from hwnas.space import Repeat as Repeat

_HOMES = {
    "Budget": "hwnas.budget",
    "Cell": "hwnas.space",
    "Choice": "hwnas.space",
    "Estimate": "hwnas._estimate",
    "FunctionSpace": "hwnas.space",
    "HwnasError": "hwnas.errors",
    "InfeasibleTrial": "hwnas.errors",
    "InputChoice": "hwnas.space",
    "LayerChoice": "hwnas.space",
    "LocalDevice": "hwnas.device",
    "ModelSpace": "hwnas.space",
    "Repeat": "hwnas.space",
    "Result": "hwnas._search",
    "search": "hwnas._search",
    "train": "hwnas._train",
}

__all__ = [
    "Budget",
    "Cell",
    "Choice",
    "Estimate",
    "FunctionSpace",
    "HwnasError",
    "InfeasibleTrial",
    "InputChoice",
    "LayerChoice",
    "LocalDevice",
    "ModelSpace",
    "Repeat",
    "Result",
    "search",
    "train",
]


_PACKAGES = (
    "budget",
    "cost",
    "device",
    "errors",
    "jobs",
    "predict",
    "report",
    "space",
    "strategy",
    "tasks",
    "zoo",
)


def __getattr__(name: str) -> Any:
    # Names load when they are first used: `import hwnas` costs nothing, and reading a job does
    # not import what measuring needs.
    if name in _PACKAGES:
        return importlib.import_module(f"hwnas.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, *_PACKAGES])
