"""Costs of your own, found by name or reference."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import _plugins, _refs
from hwnas.cost._base import Cost, FunctionCost
from hwnas.cost._metrics import METRICS
from hwnas.errors import CostError, UsageError

if TYPE_CHECKING:
    from hwnas.space import Arch, SearchSpace

_RENAME = "rename yours: NAME=REFERENCE, or cost.renamed(name)"
_NAME = re.compile(r"[A-Za-z_][\w.-]*(@[A-Za-z_][\w.-]*)?")


def load_cost(reference: str, space: SearchSpace, inputs: Any = ()) -> Cost:
    """The cost that `[NAME=]WHAT` names.

    WHAT is the name of an installed cost (entry-point group `hwnas.costs`), `module:name`,
    `file.py:name`, the path of an `.npz` file that a table's `save` wrote, or a folder that the
    entry-point group `hwnas.cost_folders` knows, such as an adapted predictor's: each member of
    the group is named after a file in such folders, and is a function (folder, space, inputs) ->
    cost. Any other object named is one of:

    - a `Cost`, taken as it is;
    - a callable with a parameter `space`, such as a subclass of `Cost`: a factory. It is called
      with those of `space` and `inputs` that it has parameters for, and returns a `Cost`;
    - any other callable: a function `arch -> number`.

    The cost is known, in budgets too, as NAME; without it by the cost's own name, or the
    function's. `latency@pixel` is a name: this cost then stands in for measuring on that device,
    unless the search has a device of that name.

    Args:
        inputs: the network's inputs, as for `static_costs`; () if they are not known.

    Raises:
        UsageError: there is no such cost, it is something else, or its name cannot stand in a
            budget or is that of a static cost.
        CostError: it is the cost of another space.
    """
    name, equals, what = reference.partition("=")
    named = bool(equals) and ":" not in name and "/" not in name
    if not named:
        what = reference
    if what.endswith(".npz"):
        from hwnas.cost._tables.stored import load_table

        target: Any = load_table(Path(what), space)
    elif ":" in what:
        target = _refs.load(what)
    elif what in _plugins.names("costs"):
        target = _plugins.load("costs", what)
    elif Path(what).is_dir():
        target = _of_folder(Path(what), space, inputs)
    else:
        known = ", ".join(_plugins.names("costs")) or "none is installed"
        raise UsageError(
            f"unknown cost '{what}'; known: {known}; one of your own is module:name, file.py:name, "
            "a table.npz, or the folder of an adapted predictor"
        )
    cost = _made(target, what, what.rpartition(":")[2].rpartition(".")[2], space, inputs)
    return _checked(cost.renamed(name.strip()) if named else cost, space)


def load_costs(
    costs: Iterable[str | Cost | Callable[[Arch], float]], space: SearchSpace, inputs: Any = ()
) -> dict[str, Cost]:
    """Several costs by their names: references as for `load_cost`, costs, or functions of an arch.

    Raises:
        UsageError, CostError: as `load_cost`; two costs of one name.
    """
    found: dict[str, Cost] = {}
    for given in costs:
        if isinstance(given, str):
            cost = load_cost(given, space, inputs)
        else:
            name = getattr(given, "__name__", type(given).__name__)
            cost = _checked(_made(given, name, name, space, inputs), space)
        if cost.name in found:
            raise UsageError(
                f"two costs are named '{cost.name}'; rename one (NAME=..., cost.renamed)"
            )
        found[cost.name] = cost
    return found


def _of_folder(folder: Path, space: SearchSpace, inputs: Any) -> Cost:
    for file in _plugins.names("cost_folders"):
        if (folder / file).is_file():
            cost: Cost = _plugins.load("cost_folders", file)(folder, space, inputs)
            return cost
    raise UsageError(f"the folder {folder} is no cost; hwnas predict adapt writes one")


def _made(target: Any, reference: str, name: str, space: SearchSpace, inputs: Any) -> Cost:
    """The object that was named, as a cost."""
    if isinstance(target, Cost):
        return target
    if not callable(target):
        kind = type(target).__name__
        raise UsageError(f"'{reference}' is {kind}, not a cost, a factory or a function of an arch")
    try:
        signature = inspect.signature(target)
    except ValueError as error:
        raise UsageError(f"'{reference}' does not tell its parameters: {error}") from error
    factory = "space" in signature.parameters
    given = {"space": space, "inputs": inputs}
    arguments = {key: value for key, value in given.items() if key in signature.parameters}
    try:
        signature.bind(**arguments) if factory else signature.bind(None)
    except TypeError as error:
        takes = "a factory gets space and inputs" if factory else "a function of an arch gets that"
        raise UsageError(f"'{reference}' gives no cost: {takes}, but {error}") from error
    if not factory:
        return FunctionCost(name, space, target)
    made = target(**arguments)
    if not isinstance(made, Cost):
        raise UsageError(
            f"'{reference}' returned {type(made).__name__}; a factory (it has a parameter 'space') "
            "returns a hwnas.cost.Cost, and a function of an arch has no such parameter"
        )
    return made


def _checked(cost: Cost, space: SearchSpace) -> Cost:
    if not (isinstance(cost.name, str) and _NAME.fullmatch(cost.name)):
        raise UsageError(
            f"'{cost.name}' cannot name a cost in a budget; write letters, digits, _ - and ., and "
            "@device if it belongs to one"
        )
    metric = METRICS.get(cost.name.partition("@")[0])
    if metric is not None and not metric.on_device:
        raise UsageError(
            f"'{cost.name}' is computed already; rename your cost (NAME=..., cost.renamed)"
        )
    if cost.space.fingerprint != space.fingerprint:
        raise CostError(f"the cost '{cost.name}' belongs to another space")
    return cost
