"""Search strategies on Optuna: what proposes the next arch, and the study that remembers.

A search is an Optuna study; a strategy runs inside an Optuna sampler, so both work with every
Optuna tool. (The package is not called `search` because `hwnas.search` is the public function.)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hwnas.strategy._base import Strategy
from hwnas.strategy._candidates import Candidates
from hwnas.strategy._distributions import distribution, suggest
from hwnas.strategy._pick import Pick, Picks, pick_under
from hwnas.strategy._search_under import search_under

if TYPE_CHECKING:
    from hwnas.strategy._journal import Journal as Journal
    from hwnas.strategy._listed import ListedSampler as ListedSampler
    from hwnas.strategy._listed import places as places
    from hwnas.strategy._sampler import ArchSampler as ArchSampler
    from hwnas.strategy._sampler import SpaceSampler as SpaceSampler
    from hwnas.strategy._study import StudyStore as StudyStore
    from hwnas.strategy._study import check_storage as check_storage

__all__ = [
    "ArchSampler",
    "Candidates",
    "Journal",
    "ListedSampler",
    "Pick",
    "Picks",
    "SpaceSampler",
    "Strategy",
    "StudyStore",
    "check_storage",
    "distribution",
    "make_strategy",
    "pick_under",
    "places",
    "search_under",
    "suggest",
]


def make_strategy(name: str) -> Strategy:
    """A strategy by its name: `random`, `evolution`, `tpe`, `nsga2`, `gp` or an installed plug-in.

    Raises:
        UsageError: no strategy has that name.
    """
    from hwnas import _plugins

    strategy: Strategy = _plugins.load("strategies", name)()
    return strategy


_LAZY = {
    "ArchSampler": "hwnas.strategy._sampler",
    "Journal": "hwnas.strategy._journal",
    "ListedSampler": "hwnas.strategy._listed",
    "places": "hwnas.strategy._listed",
    "SpaceSampler": "hwnas.strategy._sampler",
    "StudyStore": "hwnas.strategy._study",
    "check_storage": "hwnas.strategy._study",
}


def __getattr__(name: str) -> Any:
    # Optuna's import costs a fifth of a second; these need it at once.
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
