"""Cell: a small directed graph of operations, as in NASNet and DARTS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hwnas.errors import SpaceError
from hwnas.space._choice import Choice
from hwnas.space._expr import Arch, Expr, Op, Value, disjunction, logical_not, resolve
from hwnas.space._layer_choice import checked_factories, made
from hwnas.space._run import Run, required_run
from hwnas.space._symbolic import Symbolic, is_active

OpFactories = Sequence[Callable[..., nn.Module]] | Mapping[str, Callable[..., nn.Module]]
Merge = Literal["all", "loose_end"]


class CellNetwork(nn.Module):
    """What a Cell is in a built network.

    Args:
        ops: the modules of each node.
        inputs: for each node, which earlier node or input of the cell each module reads.
        outputs: the nodes whose results are concatenated, counted from the first node.
        preprocessor: maps the list of the cell's inputs to another.
        postprocessor: maps (output, list of the cell's inputs) to the output.
        concat_dim: the dimension along which the nodes are concatenated.
    """

    def __init__(
        self,
        ops: Sequence[Sequence[nn.Module]],
        inputs: Sequence[Sequence[int]],
        outputs: Sequence[int],
        preprocessor: nn.Module | None,
        postprocessor: nn.Module | None,
        concat_dim: int,
    ) -> None:
        super().__init__()
        self.nodes = nn.ModuleList(nn.ModuleList(node) for node in ops)
        self.inputs = [list(node) for node in inputs]
        self.outputs = list(outputs)
        self.preprocessor = preprocessor
        self.postprocessor = postprocessor
        self.concat_dim = concat_dim

    @property
    def loose_ends(self) -> int:
        """The number of nodes whose results are concatenated."""
        return len(self.outputs)

    def forward(self, *inputs: Any) -> Tensor:
        """The cell's output; the inputs come one by one or as one list."""
        given = list(inputs[0]) if isinstance(inputs[0], list | tuple) else list(inputs)
        states = list(self.preprocessor(given)) if self.preprocessor is not None else list(given)
        first = len(states)
        for node, sources in zip(self.nodes, self.inputs, strict=True):
            ops = node.children()
            parts = [op(states[source]) for op, source in zip(ops, sources, strict=True)]
            states.append(sum(parts[1:], parts[0]))
        output = torch.cat([states[first + node] for node in self.outputs], self.concat_dim)
        return self.postprocessor(output, given) if self.postprocessor is not None else output


class Cell(Symbolic):
    """A directed acyclic graph whose nodes choose their inputs and operations.

    The cell has `num_predecessors` inputs, numbered from 0, then `num_nodes` nodes. A node is the
    sum of `num_ops_per_node` operations; each chooses its kind (decision `<label>/op_<node>_<k>`)
    and the earlier node or input that it reads (`<label>/input_<node>_<k>`). The output is the
    concatenation of all nodes, or of those that no other node reads. Its forward takes the
    inputs one by one or as one list. Search space of NASNet (Zoph et al., CVPR 2018, section 3)
    and DARTS (Liu et al., ICLR 2019, section 2.1).

    Args:
        op_candidates: list or dict of factories, called as `factory(node, source)` with the
            numbers above (so an operation that reads an input of a reduction cell can stride);
            an operation has weights of its own for each source.
        num_nodes: how many nodes compute.
        num_ops_per_node: operations summed in each.
        num_predecessors: inputs of the cell.
        merge_op: `all` nodes are concatenated, or only the `loose_end` ones; `loose_ends` is
            their number, as a formula that the next layer's arguments can use.
        preprocessor: factory of a module that maps the list of inputs to another of that length.
        postprocessor: factory of a module that maps (output, list of inputs) to the output.
        concat_dim: the dimension along which the nodes are concatenated.
        label: prefix of the decisions; otherwise the attribute path of the module.

    Raises:
        SpaceError: a number is below one, a candidate is a module, or this is outside a
            ModelSpace.
    """

    def __new__(
        cls,
        op_candidates: OpFactories,
        num_nodes: int,
        num_ops_per_node: int = 1,
        num_predecessors: int = 1,
        merge_op: Merge = "all",
        preprocessor: Callable[[], nn.Module] | None = None,
        postprocessor: Callable[[], nn.Module] | None = None,
        concat_dim: int = 1,
        *,
        label: str | None = None,
    ) -> Any:
        """The chosen graph under an arch, else the module that stands for the choices."""
        run = required_run("Cell")
        if run.symbolic:
            return super().__new__(cls)
        counts = num_nodes, num_ops_per_node, num_predecessors
        slots = _slots(run, op_candidates, counts, merge_op, label)
        return _network(
            [[(slot.op, slot.source, slot.modules) for slot in node] for node in slots],
            num_predecessors,
            merge_op,
            preprocessor() if preprocessor else None,
            postprocessor() if postprocessor else None,
            concat_dim,
        )

    def __init__(
        self,
        op_candidates: OpFactories,
        num_nodes: int,
        num_ops_per_node: int = 1,
        num_predecessors: int = 1,
        merge_op: Merge = "all",
        preprocessor: Callable[[], nn.Module] | None = None,
        postprocessor: Callable[[], nn.Module] | None = None,
        concat_dim: int = 1,
        *,
        label: str | None = None,
    ) -> None:
        super().__init__()
        counts = num_nodes, num_ops_per_node, num_predecessors
        self.slots = _slots(self.run, op_candidates, counts, merge_op, label)
        self.num_predecessors = num_predecessors
        self.merge_op: Merge = merge_op
        self.preprocessor = preprocessor() if preprocessor else None
        self.postprocessor = postprocessor() if postprocessor else None
        self.concat_dim = concat_dim
        self.candidates = nn.ModuleList(
            module for node in self.slots for slot in node for module in slot.modules.values()
        )

    @property
    def loose_ends(self) -> Any:
        """The number of nodes whose results are concatenated; a formula until an arch is active."""
        if self.merge_op == "all":
            return len(self.slots)
        total: Any = 0
        for place in range(len(self.slots) - 1):
            readers = [slot.source for node in self.slots[place + 1 :] for slot in node]
            number = self.num_predecessors + place
            total = total + logical_not(disjunction(*(source == number for source in readers)))
        if isinstance(total, Expr):
            # Nobody can read the last node.
            total = Op("+", total, 1, possible=range(1, len(self.slots) + 1))
        else:
            total += 1
        return resolve(total, self.arch) if is_active(self.run) else total

    def uses(self) -> Iterator[tuple[str, Expr, bool]]:
        """See `Symbolic.uses`."""
        for slot in (slot for node in self.slots for slot in node):
            yield f"/op_{slot.name}", slot.op, True
            yield f"/input_{slot.name}", slot.source, True

    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        """See `Symbolic.parts`."""
        for slot in (slot for node in self.slots for slot in node):
            for (key, source), module in slot.modules.items():
                yield f"op_{slot.name}.{key}.{source}", module
        for name in ("preprocessor", "postprocessor"):
            if (module := getattr(self, name)) is not None:
                yield name, module

    def network(self, arch: Arch) -> CellNetwork:
        """The graph that `arch` chooses, made of the modules of this cell."""
        return _network(
            [
                [
                    (slot.op.evaluate(arch), slot.source.evaluate(arch), slot.modules)
                    for slot in node
                ]
                for node in self.slots
            ],
            self.num_predecessors,
            self.merge_op,
            self.preprocessor,
            self.postprocessor,
            self.concat_dim,
        )

    def forward(self, *inputs: Any) -> Tensor:
        """The output of the graph that the active arch chooses."""
        output: Tensor = self.network(self.arch)(*inputs)
        return output

    def inherit(self, built: nn.Module, arch: Arch) -> Iterator[tuple[nn.Module, nn.Module]]:
        """See `Symbolic.inherit`."""
        yield self.network(arch), built


@dataclass
class _Slot:
    """One operation of a node: which kind, which source, and the module for each such pair."""

    name: str
    op: Any
    source: Any
    modules: dict[tuple[Value, int], nn.Module]


def _slots(
    run: Run, candidates: OpFactories, counts: tuple[int, int, int], merge: str, label: str | None
) -> list[list[_Slot]]:
    if any(type(count) is not int or count < 1 for count in counts):
        raise SpaceError(f"Cell: the numbers of nodes, operations and inputs {counts} need be >= 1")
    if merge not in ("all", "loose_end"):
        raise SpaceError(f"Cell: merge_op '{merge}' is neither 'all' nor 'loose_end'")
    place = run.place()
    factories = checked_factories(candidates, "Cell")
    num_nodes, num_ops, first = counts

    def slot(node: int, k: int) -> _Slot:
        name = f"{node}_{k}"
        op: Any = Choice(tuple(factories), label=label and f"{label}/op_{name}")
        source: Any = Choice(range(node), label=label and f"{label}/input_{name}")
        modules = {}
        for key in factories if run.symbolic else [op]:
            for j in range(node) if run.symbolic else [source]:
                with run.branch(place, f"{name}.{key}.{j}", (op == key) & (source == j)):
                    modules[key, j] = made(factories[key], "Cell", key, node, j)
        return _Slot(name, op, source, modules)

    return [[slot(first + n, k) for k in range(num_ops)] for n in range(num_nodes)]


def _network(
    nodes: list[list[tuple[Any, int, dict[tuple[Value, int], nn.Module]]]],
    first: int,
    merge: Merge,
    preprocessor: nn.Module | None,
    postprocessor: nn.Module | None,
    concat_dim: int,
) -> CellNetwork:
    """The network of the chosen (kind, source, modules) of each node."""
    sources = [[source for _, source, _ in node] for node in nodes]
    read = {source for node in sources for source in node}
    return CellNetwork(
        [[modules[op, source] for op, source, modules in node] for node in nodes],
        sources,
        [n for n in range(len(nodes)) if merge == "all" or first + n not in read],
        preprocessor,
        postprocessor,
        concat_dim,
    )
