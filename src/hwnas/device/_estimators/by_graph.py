"""A network as the operators of PyTorch's export graph."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn

from hwnas.device._base import Inputs
from hwnas.device._estimators.network import Network, Stack
from hwnas.device._faults import naming
from hwnas.device._runtimes.quiet import quiet


def by_graph(model: nn.Module, inputs: Inputs) -> Network:
    """The operators that `torch.export` finds. `model` is not touched.

    Raises:
        ModelFault: the model cannot be exported.
    """
    twin = copy.deepcopy(model).cpu().eval()
    given = tuple(x.detach().cpu() for x in inputs)
    with naming(f"{type(model).__name__} cannot be exported"), quiet(), torch.no_grad():
        program = torch.export.export(twin, given)
        module = program.module(check_guards=False)
    assert isinstance(module, fx.GraphModule)
    for node in module.graph.nodes:
        node.meta["stack"] = _stack(node)
        if isinstance(value := _value(module, node), Tensor):
            node.meta["tensor"] = (tuple(value.shape), value.dtype)
        _replace_in_place(node)
    module.recompile()
    return Network(module, given, {path: type(one) for path, one in model.named_modules()})


def _value(module: fx.GraphModule, node: fx.Node) -> Any:
    if node.op != "get_attr":
        return node.meta.get("val")
    value: Any = module
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value


def _stack(node: fx.Node) -> Stack:
    stack = node.meta.get("nn_module_stack") or {}
    return tuple((str(path), str(call)) for call, (path, _) in stack.items())


def _replace_in_place(node: fx.Node) -> None:
    """An operator that changes its input becomes the one that gives a new tensor."""
    packet = getattr(node.target, "overloadpacket", None)
    name = getattr(packet, "__name__", "")
    if name.endswith("_") and not name.startswith("_"):
        node.meta["kept"] = True
        if other := getattr(torch.ops.aten, name[:-1], None):
            overload = getattr(node.target, "_overloadname", "default")
            node.target = getattr(other, overload, node.target)
