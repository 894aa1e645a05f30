"""A network as a graph of calls, whichever way it was found."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from hwnas.device._base import Inputs

Stack = tuple[tuple[str, str], ...]
"""The module calls that a node lies in, outermost first: (path of the module, name of the call)."""

# Data of these are not read, so what computes them is not needed.
_SHAPE_ONLY = {
    "zeros_like",
    "ones_like",
    "full_like",
    "empty_like",
    "rand_like",
    "randn_like",
    "new_zeros",
    "new_ones",
    "new_full",
    "new_empty",
}
_PRODUCTS = {"mul", "multiply"}
# What evaluation mode makes a copy of its input, or nothing at all.
_FREE = {"dropout", "feature_dropout", "alpha_dropout", "alias", "detach", "lift_fresh_copy"}


@dataclass(frozen=True)
class Network:
    """A network in evaluation mode.

    Attributes:
        module: its graph; each node that gives a tensor says so in `meta["tensor"]` (shape, type),
            and where it stands in `meta["stack"]`, and `meta["kept"]` if it changes what others
            may see.
        inputs: what it was called with.
        types: the class of the module at each path.
    """

    module: fx.GraphModule
    inputs: Inputs
    types: dict[str, type[nn.Module]]

    def live(self) -> list[fx.Node]:
        """The calls that the outputs need, in order; see `live_calls`."""
        return live_calls(self.module.graph)

    def values(self, wanted: set[fx.Node]) -> dict[fx.Node, Tensor]:
        """What the `wanted` nodes compute."""
        capture = _Capture(self.module, wanted)
        capture.run(*self.inputs)
        return capture.found


class _Capture(fx.Interpreter):
    def __init__(self, module: fx.GraphModule, wanted: set[fx.Node]) -> None:
        super().__init__(module)
        self._wanted, self.found = wanted, dict[fx.Node, Tensor]()

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n in self._wanted:
            self.found[n] = value.detach()
        return value


def name_of(node: fx.Node) -> str:
    """The function that a node calls, without modifiers, as in `conv2d`; "" for a module."""
    if node.op == "call_module":
        return ""
    packet = getattr(node.target, "overloadpacket", node.target)
    return str(getattr(packet, "__name__", packet)).strip("_")


def live_calls(graph: fx.Graph) -> list[fx.Node]:
    """The calls that compute something that the outputs need, in order.

    Left out is what a compiler leaves out: calls whose results nobody uses, a branch that is
    multiplied by zero and that product itself, what is computed from constants alone, and what only
    takes a result apart.
    """
    constant = set(_constants(graph))
    needed: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if node.op == "output" or node.meta.get("kept") or node in needed:
            needed.add(node)
            if node not in constant:
                needed.update(node.all_input_nodes)
    return [node for node in graph.nodes if node in needed - constant and _is_call(node)]


def _constants(graph: fx.Graph) -> Iterator[fx.Node]:
    known: set[fx.Node] = set()
    for node in graph.nodes:
        if not node.op.startswith("call") or node.meta.get("kept"):
            continue
        name, inputs = name_of(node).removeprefix("r"), node.all_input_nodes
        zero = name in _PRODUCTS and any(_is_zero(value) for value in node.args)
        if zero or name_of(node) in _SHAPE_ONLY or all(one in known for one in inputs):
            known.add(node)
            yield node


def _is_zero(value: object) -> bool:
    return isinstance(value, (int, float)) and value == 0


def _is_call(node: fx.Node) -> bool:
    if not node.op.startswith("call") or node.target is operator.getitem:
        return False
    return name_of(node) not in _FREE and ("tensor" in node.meta or _gives_several(node))


def _gives_several(node: fx.Node) -> bool:
    return any(user.target is operator.getitem for user in node.users)
