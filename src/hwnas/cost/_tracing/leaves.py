"""Modules that cost what a function says, with all that is inside of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from torch import nn

from hwnas.errors import CostError

LeafCost: TypeAlias = Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Any], Mapping[str, Any]]
"""(module, args, kwargs, output) -> amounts by name; see `static_costs`."""

Run: TypeAlias = Callable[..., Any]
"""(leaf's cost, module, its forward, *args, **kwargs) -> the output, counted."""

_CONTAINERS = (nn.Module, nn.Sequential, nn.ModuleList, nn.ModuleDict)


class Leaves:
    """The module classes that are leaves, each with its cost; subclasses are meant as well.

    Raises:
        CostError: a key is no class of modules, or one of PyTorch's containers.
    """

    def __init__(self, costs: Mapping[type[nn.Module], LeafCost] | None, per_mac: int) -> None:
        self._costs = dict(costs or {})
        self._per_mac = per_mac
        for kind in self._costs:
            if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
                raise CostError(f"leaf_costs: {kind!r} is no class of modules")
            if kind in _CONTAINERS:
                raise CostError(f"leaf_costs: {kind.__name__} is no leaf; name a class of your own")

    def mark(self, root: nn.Module, run: Run) -> None:
        """Have `run` called in place of the forward of every leaf in `root` (our own copy)."""
        if self._costs:
            for module in root.modules():
                self.mark_one(module, run)

    def mark_one(self, module: nn.Module, run: Run) -> None:
        """The same for `module` alone. Once for each module, however often it is called."""
        forward = vars(module).get("forward")
        if isinstance(forward, _Marked):
            return
        kind = next((kind for kind in type(module).__mro__ if kind in self._costs), None)
        if kind is not None:
            vars(module)["forward"] = _Marked(run, self._costs[kind], module, module.forward)

    def amounts(
        self, cost: LeafCost, module: nn.Module, args: Any, kwargs: Any, output: Any
    ) -> tuple[Any, Any]:
        """Multiply-accumulates and `flops` by `cost`.

        Raises:
            CostError: what `cost` returns are no amounts of these.
        """
        found = cost(module, args, kwargs, output)
        name = type(module).__name__
        if not isinstance(found, Mapping):
            raise CostError(f"the leaf cost of {name} is a {type(found).__name__}, not a dict")
        if unknown := [key for key in found if key not in ("macs", "flops")]:
            raise CostError(f"the leaf cost of {name} has '{unknown[0]}'; known: macs, flops")
        macs = found.get("macs", 0)
        return macs, found.get("flops", self._per_mac * macs)


class _Marked(partial[Any]):
    """The forward of a leaf."""


def whole(value: Any, module: nn.Module) -> int:
    """`value` as an amount.

    Raises:
        CostError: it is no whole number from zero.
    """
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if number < 0 or number != value:
        name = type(module).__name__
        raise CostError(f"the leaf cost of {name} has {value!r}, not a whole number from zero")
    return number
