"""Parts of a network, cut out so that each can be measured by itself."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import fx, nn

from hwnas.device._base import Inputs, Model
from hwnas.device._estimators.by_module import by_module
from hwnas.device._estimators.description import function_name, module_facts, plain
from hwnas.device._estimators.grouping import Group, group
from hwnas.device._estimators.network import Network
from hwnas.device._faults import naming
from hwnas.device._item import Item


@dataclass(frozen=True)
class Part:
    """One call of an item in a network.

    Attributes:
        item: equal for parts that do the same work.
        name: where it stands.
        operators: the calls that it holds.
    """

    item: Item
    name: str
    operators: int


@dataclass(frozen=True)
class Parts:
    """A network in parts, in order.

    Attributes:
        cut: gives models and inputs for some of the parts, by their places, so that they can be
            measured; files go into the folder given.
    """

    parts: tuple[Part, ...]
    cut: Callable[[Sequence[int], Path], list[tuple[Model, Inputs]]]


def parts_of(network: Network, granularity: str, blocks: Sequence[str | type[nn.Module]]) -> Parts:
    """Cut `network`; see `group` for how."""
    pieces = [_Piece(network, one) for one in group(network, granularity, blocks)]

    def cut(places: Sequence[int], _: Path) -> list[tuple[Model, Inputs]]:
        chosen = [pieces[place] for place in places]
        values = network.values({node for piece in chosen for node in piece.outer})
        return [(piece.module(), tuple(values[x] for x in piece.outer)) for piece in chosen]

    return Parts(tuple(piece.part() for piece in pieces), cut)


def network_part(model: Model, inputs: Inputs) -> Parts:
    """A whole network as its only part.

    Raises:
        ModelFault: its forward fails, or the file is not there.
    """
    if isinstance(model, nn.Module):
        network = by_module(model, inputs)
        live = tuple(network.live())
        item = _Piece(network, Group("network", "", live)).part().item
    else:
        with naming(f"{model} cannot be read"):
            digest = hashlib.sha256(Path(model).read_bytes()).hexdigest()
        shapes = [[list(x.shape), str(x.dtype)] for x in inputs]
        item, live = Item("network", {"onnx": digest, "inputs": shapes}), ()
    part = Part(item, type(model).__name__ if live else str(model), max(len(live), 1))
    return Parts((part,), lambda places, _: [(model, inputs) for _ in places])


class _Piece:
    """The nodes of a group with those around it."""

    def __init__(self, network: Network, group: Group) -> None:
        self._network, self._group = network, group
        inside = set(group.nodes)
        self._nodes = [node for node in network.module.graph.nodes if _belongs(node, inside)]
        inside.update(self._nodes)
        sources = dict.fromkeys(
            source
            for node in self._nodes
            for source in node.all_input_nodes
            if source not in inside
        )
        self.outer = [node for node in sources if node.op != "get_attr"]
        self._attributes = [node for node in sources if node.op == "get_attr"]
        used = [node for node in self._nodes if any(user not in inside for user in node.users)]
        self._results = [node for node in used if "tensor" in node.meta] or self._nodes[-1:]

    def part(self) -> Part:
        return Part(
            Item(self._group.kind, self._description()), self._group.name, len(self._group.nodes)
        )

    def module(self) -> nn.Module:
        """The group as a module that takes `outer`."""
        if single := self._single():
            return single
        graph, twins = fx.Graph(), dict[fx.Node, fx.Node]()
        for index, node in enumerate(self.outer):
            twins[node] = graph.placeholder(f"x{index}")
        for node in [*self._attributes, *self._nodes]:
            twins[node] = graph.node_copy(node, twins.__getitem__)
            twins[node].meta.clear()
        results = tuple(twins[node] for node in self._results)
        graph.output(results[0] if len(results) == 1 else results)
        return fx.GraphModule(self._network.module, graph)

    def _single(self) -> nn.Module | None:
        """The module that is called, if that is all."""
        (first, *more) = self._nodes
        plain = first.op == "call_module" and not first.kwargs and list(first.args) == self.outer
        if more or not plain:
            return None
        return self._network.module.get_submodule(str(first.target))

    def _description(self) -> dict[str, Any]:
        names = {node: f"in{index}" for index, node in enumerate(self.outer)}
        names |= {node: _typed(node) for node in self._attributes}
        calls = []
        for index, node in enumerate(self._nodes):
            call: dict[str, Any] = {"call": self._callee(node), "args": plain(node.args, names)}
            if node.kwargs:
                call["kwargs"] = plain(node.kwargs, names)
            calls.append(call)
            names[node] = f"%{index}"
        return {
            "inputs": [_typed(node) for node in self.outer],
            "calls": calls,
            "outputs": [names[node] for node in self._results],
        }

    def _callee(self, node: fx.Node) -> Any:
        if node.op == "call_module":
            return module_facts(self._network.module.get_submodule(str(node.target)))
        if node.op == "call_method":
            return f"Tensor.{node.target}"
        return function_name(node.target)


def _belongs(node: fx.Node, inside: set[fx.Node]) -> bool:
    """In the group, or the taking apart of a result of the group."""
    if node not in inside and node.target is operator.getitem and node.args[0] in inside:
        inside.add(node)
    return node in inside


def _typed(node: fx.Node) -> str:
    """Shape and type of what a node gives: what counts of an input or a weight."""
    if "tensor" not in node.meta:
        return str(node.target)
    shape, dtype = node.meta["tensor"]
    return f"{'x'.join(map(str, shape)) or 'scalar'} {str(dtype).removeprefix('torch.')}"
