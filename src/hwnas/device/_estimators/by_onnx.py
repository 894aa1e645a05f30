"""An ONNX model in parts: its nodes, or what ONNX Runtime fuses of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwnas.device._base import Inputs, Model
from hwnas.device._estimators.onnx_description import attribute_value, constant, place, typed
from hwnas.device._estimators.parts import Part, Parts
from hwnas.device._faults import naming
from hwnas.device._item import Item
from hwnas.device._runtimes.onnxruntime_session import check_inputs
from hwnas.errors import ModelFault

_Array = NDArray[Any]


def by_onnx(path: Path, inputs: Inputs, *, fused: bool) -> Parts:
    """The nodes of the ONNX model `path`, without those that its outputs do not need.

    Args:
        fused: nodes that ONNX Runtime makes one of (its extended optimisations, which do not
            depend on how a CPU lays out its tensors) are one part.

    Raises:
        ModelFault: it cannot be read or run.
    """
    with naming(f"{path.name} cannot be taken apart"):
        network = _Onnx(path, inputs)
        groups = network.fused() if fused else [[index] for index in network.live]
        parts = tuple(network.part(group) for group in groups)

        def cut(places: Sequence[int], folder: Path) -> list[tuple[Model, Inputs]]:
            with naming(f"{path.name} cannot be taken apart"):
                return network.cut(
                    [groups[place] for place in places], [parts[place] for place in places], folder
                )

        return Parts(parts, cut)


class _Onnx:
    """A loaded model with the shapes of all that it computes for `inputs`."""

    def __init__(self, path: Path, inputs: Inputs) -> None:
        import onnx

        self._model = onnx.load(path)
        graph = self._model.graph
        self._nodes = list(graph.node)
        made = ((i, name) for i, node in enumerate(self._nodes) for name in node.output)
        self._maker = {name: i for i, name in made if name}
        self._weights = {one.name: one for one in graph.initializer}
        names = [one.name for one in graph.input if one.name not in self._weights]
        check_inputs(names, inputs)
        arrays = [x.detach().cpu().numpy() for x in inputs]
        self._given = dict(zip(names, arrays, strict=True))
        self._outputs = [one.name for one in graph.output]
        everything = {**self._given, **dict(self._run(list(self._maker)))}
        self._typed = {name: typed(array) for name, array in everything.items()}

    def _run(self, wanted: Sequence[str]) -> Iterator[tuple[str, _Array]]:
        """What the model computes for some names, not optimised away."""
        import onnx
        import onnxruntime

        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        del model.graph.output[:]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level, options.intra_op_num_threads = 3, 1
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for name, value in zip(wanted, session.run(list(wanted), self._given), strict=True):
            if not isinstance(value, np.ndarray):
                raise ModelFault(f"'{name}' is no tensor", "unsupported operator")
            yield name, value

    @cached_property
    def _constant(self) -> set[str]:
        """Names of weights, and of what follows from them alone or from a product with zero."""
        return self._constants[0]

    @cached_property
    def _zeroed(self) -> set[str]:
        """Those of the constants whose nodes read what is no constant, and the product drops."""
        return self._constants[1]

    @cached_property
    def _constants(self) -> tuple[set[str], set[str]]:
        import onnx

        known, zeroed = set(self._weights), set[str]()
        zeros = {
            name for name, one in self._weights.items() if not onnx.numpy_helper.to_array(one).any()
        }
        for node in self._nodes:
            product = node.op_type == "Mul" and any(name in zeros for name in node.input)
            reads = set(self._reads(node))
            if product or reads <= known:
                known.update(node.output)
                if not reads <= known - zeroed:
                    zeroed.update(node.output)
            if product or _is_zero(node):
                zeros.update(node.output)
        return known, zeroed

    def _reads(self, node: Any) -> list[str]:
        """The names that a node reads, those inside its subgraphs included."""
        names = [name for name in node.input if name]
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                inside = {name for one in graph.node for name in self._reads(one)}
                names += sorted(inside & (set(self._maker) | set(self._weights) | set(self._given)))
        return list(dict.fromkeys(names))

    @cached_property
    def live(self) -> list[int]:
        """The nodes that the outputs need and that are no constants, in order."""
        needed, found = set(self._outputs), []
        for index in reversed(range(len(self._nodes))):
            node = self._nodes[index]
            computed = [name for name in node.output if name and name not in self._constant]
            if needed & set(computed):
                found.append(index)
                needed.update(self._reads(node))
        return found[::-1]

    def fused(self) -> list[list[int]]:
        """The live nodes, grouped by the nodes of ONNX Runtime's optimised graph.

        A tensor that the optimised graph still has is a border between groups.
        """
        import onnx
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.log_severity_level, options.intra_op_num_threads = 3, 1
        with TemporaryDirectory(prefix="hwnas-") as folder:
            options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
            onnxruntime.InferenceSession(
                self._model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            optimised = onnx.load(options.optimized_model_filepath, load_external_data=False)
        borders = {name for node in optimised.graph.node for name in node.output}
        borders |= {*self._given, *self._outputs}
        group_of: dict[int, list[int]] = {}
        for index in self.live:
            if borders & set(self._nodes[index].output):
                group = self._behind(index, borders)
                group = [one for one in group if one not in group_of]
                group_of.update(dict.fromkeys(group, group))
        rest = {index: [index] for index in self.live if index not in group_of}
        ordered = (group_of.get(index) or rest[index] for index in self.live)
        return list({id(group): group for group in ordered}.values())

    def _behind(self, index: int, borders: set[str]) -> list[int]:
        """A node and those before it up to the borders."""
        found, todo, live = set[int](), [index], set(self.live)
        while todo:
            one = todo.pop()
            found.add(one)
            for name in self._reads(self._nodes[one]):
                maker = self._maker.get(name)
                if maker in live and maker not in found and name not in borders:
                    assert maker is not None
                    todo.append(maker)
        return sorted(found)

    def part(self, group: list[int]) -> Part:
        """The item that a group is."""
        names = {name: f"in{i}" for i, name in enumerate(self._entering(group))}
        entering = [self._typed[name] for name in names]
        calls = []
        for place_in, index in enumerate(group):
            node = self._nodes[index]
            reads = [names[x] if x in names else self._described(x) for x in node.input]
            names |= {name: f"%{place_in}.{i}" for i, name in enumerate(node.output)}
            calls.append(
                {
                    "op": f"{node.domain or 'onnx'}.{node.op_type}",
                    "attributes": {one.name: attribute_value(one) for one in node.attribute},
                    "inputs": reads,
                }
            )
        opsets = self._model.opset_import
        versions = sorted(f"{one.domain or 'onnx'} {one.version}" for one in opsets)
        item = Item(
            "operator" if len(group) == 1 else "unit",
            {"opset": versions, "inputs": entering, "calls": calls},
        )
        return Part(item, place(self._nodes[group[0]]), len(group))

    def _described(self, name: str) -> Any:
        """A constant: its shape and type, and its values if they are few."""
        if not name:
            return None
        return constant(self._weights[name]) if name in self._weights else self._typed[name]

    def _entering(self, group: list[int]) -> list[str]:
        made = {name for index in group for name in self._nodes[index].output}
        read = (name for index in group for name in self._reads(self._nodes[index]))
        folded = self._constant - self._zeroed
        return [x for x in dict.fromkeys(read) if x not in made and x not in folded]

    def _leaving(self, group: list[int]) -> list[str]:
        made = [name for index in group for name in self._nodes[index].output if name]
        others = (index for index in self.live if index not in group)
        read = {name for index in others for name in self._reads(self._nodes[index])}
        return [name for name in made if name in read or name in self._outputs]

    def cut(
        self, groups: Sequence[list[int]], parts: Sequence[Part], folder: Path
    ) -> list[tuple[Model, Inputs]]:
        """Write each group as a model of its own into `folder`."""
        import onnx

        entering = [self._entering(group) for group in groups]
        leaving = [self._leaving(group) for group in groups]
        wanted = {name for names in (*entering, *leaving) for name in names}
        values = {**self._given, **dict(self._run(sorted(wanted & set(self._maker))))}
        results: list[tuple[Model, Inputs]] = []
        for group, part, before, after in zip(groups, parts, entering, leaving, strict=True):
            nodes = [*self._folded(group), *group]
            used = {name for index in nodes for name in self._reads(self._nodes[index])}
            graph = onnx.helper.make_graph(
                [self._nodes[index] for index in nodes],
                part.item.kind,
                [_info(name, values[name]) for name in before],
                [_info(name, values[name]) for name in after],
                [one for name, one in self._weights.items() if name in used],
            )
            model = onnx.ModelProto()
            model.CopyFrom(self._model)
            model.graph.CopyFrom(graph)
            path = folder / f"{part.item.key}.onnx"
            onnx.save(model, path)
            results.append((path, tuple(torch.from_numpy(values[x].copy()) for x in before)))
        return results

    def _folded(self, group: list[int]) -> list[int]:
        """The nodes that compute the constants of a group."""
        found, todo, folded = set[int](), list(group), self._constant - self._zeroed
        while todo:
            for name in self._reads(self._nodes[todo.pop()]):
                maker = self._maker.get(name)
                if maker is not None and name in folded and maker not in found:
                    found.add(maker)
                    todo.append(maker)
        return sorted(found)


def _info(name: str, array: _Array) -> Any:
    import onnx

    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return onnx.helper.make_tensor_value_info(name, kind, array.shape)


def _is_zero(node: Any) -> bool:
    import onnx

    values = [one.t for one in node.attribute if one.name == "value" and one.HasField("t")]
    return node.op_type == "Constant" and any(
        not onnx.numpy_helper.to_array(one).any() for one in values
    )
