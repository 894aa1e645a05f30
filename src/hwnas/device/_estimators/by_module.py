"""A network as the modules and functions that its forward calls, recorded in one call of it."""

from __future__ import annotations

import builtins
import copy
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from hwnas.device._base import Inputs
from hwnas.device._estimators.network import Network
from hwnas.device._faults import naming
from hwnas.device._runtimes.agreement import flatten

_READERS = {"__bool__", "__float__", "__index__", "__int__", "item", "tolist"}


def by_module(model: nn.Module, inputs: Inputs) -> Network:
    """The leaf modules and the functions between them, in the order in which they are called.

    PyTorch's own modules are leaves; others are looked into. `model` is not touched.

    Raises:
        ModelFault: the forward fails.
    """
    twin = copy.deepcopy(model).cpu().eval()
    root = nn.Sequential(twin) if _is_leaf(twin) else twin
    for module in root.modules():
        if getattr(module, "inplace", None) is True:
            # Measured alone, it would change its own input.
            setattr(module, "inplace", False)  # noqa: B010 - the name is no declared attribute
    recorder = _Recorder(root)
    with naming(f"{type(model).__name__} cannot be called"):
        graph = recorder.record(tuple(x.detach().cpu() for x in inputs))
    types = {path: type(module) for path, module in root.named_modules()}
    return Network(fx.GraphModule(root, graph), inputs, types)


class _SetItem(nn.Module):
    def __init__(self, index: Any) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: Tensor, value: Any) -> Tensor:
        x = x.clone()
        x[self.index] = value
        return x


class _Recorder(TorchFunctionMode):
    """Writes down every call made outside of leaf modules."""

    def __init__(self, root: nn.Module) -> None:
        super().__init__()
        self._root, self._graph = root, fx.Graph()
        self._nodes: dict[int, fx.Node] = {}  # by id of the tensor
        self._seen: list[Tensor] = []  # as long as they live, their ids are theirs
        self._names = {
            id(tensor): name for name, tensor in [*root.named_parameters(), *root.named_buffers()]
        }
        self._stack: list[tuple[str, str]] = []
        self._calls: Counter[str] = Counter()
        self._inside = 0  # leaf modules that are being called
        self._own = 0

    def record(self, inputs: Inputs) -> fx.Graph:
        for index, tensor in enumerate(inputs):
            self._name(tensor, self._graph.placeholder(f"x{index}"))
        handles = [
            handle
            for path, module in self._root.named_modules()
            for handle in self._hooks(path, module)
        ]
        try:
            with torch.no_grad(), self:
                outputs = self._root(*inputs)
        finally:
            for handle in handles:
                handle.remove()
        self._graph.output(tuple(self._node(tensor) for tensor in flatten(outputs)))
        return self._graph

    def _hooks(self, path: str, module: nn.Module) -> Iterable[Any]:
        leaf = _is_leaf(module)

        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if leaf:
                self._inside += 1
            elif not self._inside:
                self._calls[path] += 1
                self._stack.append((path, f"{path}@{self._calls[path]}"))

        def after(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            if leaf:
                self._inside -= 1
                if not self._inside and not _is_same(output, args):
                    self._calls[path] += 1
                    self._stack.append((path, f"{path}@{self._calls[path]}"))
                    self._add("call_module", path, args, kwargs, output)
                    self._stack.pop()
            elif not self._inside:
                self._stack.pop()

        yield module.register_forward_pre_hook(before, with_kwargs=True)
        yield module.register_forward_hook(after, with_kwargs=True)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if self._inside:
            return func(*args, **named)
        versions = [(x, x._version) for x in flatten([args, named])]
        output = func(*args, **named)
        if func.__name__ in _READERS and args:
            self._node(args[0]).meta["kept"] = True  # the forward goes on by what it reads
        changed = [x for x, version in versions if x._version != version]
        if func is torch.Tensor.__setitem__:
            self._own += 1
            path = f"_set_item_{self._own}"
            self._root.add_module(path, _SetItem(args[1]))
            self._add("call_module", path, (args[0], args[2]), {}, args[0], kept=True)
        elif isinstance(output, (Tensor, tuple, list)) and (changed or not _is_same(output, args)):
            if named.get("inplace"):
                named["inplace"] = False
            self._add(*_call(func, args, inplace=bool(changed)), named, output, kept=bool(changed))
        return output

    def _add(
        self,
        op: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        output: Any,
        *,
        kept: bool = False,
    ) -> None:
        if not any(True for _ in flatten(output)):
            return
        node = self._graph.create_node(
            op, target, map_aggregate(args, self._given), map_aggregate(dict(kwargs), self._given)
        )
        node.meta["kept"] = kept
        self._name(output, node)

    def _name(self, output: Any, node: fx.Node) -> None:
        """Remember which node gives the tensors of `output`."""
        node.meta["stack"] = tuple(self._stack)
        if isinstance(output, Tensor):
            node.meta["tensor"] = (tuple(output.shape), output.dtype)
            self._nodes[id(output)] = node
            self._seen.append(output)
        elif isinstance(output, (tuple, list, dict)):
            pairs = output.items() if isinstance(output, dict) else enumerate(output)
            for key, value in pairs:
                if any(True for _ in flatten(value)):
                    self._name(value, self._graph.call_function(operator.getitem, (node, key)))

    def _given(self, value: Any) -> Any:
        return self._node(value) if isinstance(value, Tensor) else value

    def _node(self, tensor: Tensor) -> fx.Node:
        if id(tensor) not in self._nodes:
            if id(tensor) not in self._names:
                self._own += 1
                self._names[id(tensor)] = name = f"_tensor_{self._own}"
                self._root.register_buffer(name, tensor.detach())
            self._name(tensor, self._graph.get_attr(self._names[id(tensor)]))
        return self._nodes[id(tensor)]


def _call(
    func: Callable[..., Any], args: tuple[Any, ...], *, inplace: bool
) -> tuple[str, Any, tuple[Any, ...]]:
    """How a graph says `func`: kind, target and arguments; a new tensor in place of a changed."""
    name = func.__name__
    if name == "__get__":  # of an attribute such as x.T
        return "call_function", builtins.getattr, (args[0], func.__self__.__name__)  # type: ignore[attr-defined]
    if inplace and name.startswith("__i"):
        name = f"__{name[3:]}"  # x += y
    elif inplace and name.endswith("_") and not name.endswith("__"):
        name = name[:-1]
    if getattr(torch.Tensor, func.__name__, None) is func:
        return "call_method", name, args
    if name != func.__name__:
        homes = (torch, functional)
        func = next((found for home in homes if (found := getattr(home, name, None))), func)
    return "call_function", func, args


def _is_leaf(module: nn.Module) -> bool:
    own = type(module).__module__.startswith(("torch.nn.", "torch.ao."))
    return own and not isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict))


def _is_same(output: Any, args: tuple[Any, ...]) -> bool:
    """Whether a call gave back what it got, as Identity and Dropout do."""
    return any(output is x for x in flatten(args))
