"""The supernet: user modules that follow the active arch, and weights handed to a subnet."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hwnas.errors import SpaceError
from hwnas.space._elastic import cut, shape_of
from hwnas.space._expr import Arch, exprs, resolve
from hwnas.space._modes import SupernetRun
from hwnas.space._symbolic import Symbolic, active_arch


def follow(model: nn.Module, run: SupernetRun) -> None:
    """Let attributes of plain modules that hold formulas have their value under the active arch.

    `self.heads = Choice(...)` in a user's module is then the chosen number in its forward, and a
    parameter of open shape its leading part, as in a built network.
    """
    for module in list(model.modules()):
        if isinstance(module, Symbolic):
            continue
        names: dict[str, Any] = {
            name: property(_value(value, run))
            for name, value in vars(module).items()
            if next(exprs(value), None) is not None
        }
        for name, parameter in module.named_parameters(recurse=False):
            if (shape := shape_of(parameter)) is not None:
                names[name] = property(_part(name, shape, run))
        if names:
            for name in names:
                vars(module).pop(name, None)
            # Properties belong to a class, so this one module gets a class of its own.
            module.__class__ = type(type(module).__name__, (type(module),), names)


def inherit(supernet: nn.Module, built: nn.Module, arch: Arch) -> None:
    """Copy to `built`, the network of `arch`, its part of the supernet's weights and buffers.

    Raises:
        SpaceError: the two do not have the same structure.
    """
    todo = [(supernet, built)]
    seen: set[int] = set()
    with torch.no_grad():
        while todo:
            source, target = todo.pop()
            if id(target) in seen:
                continue
            if isinstance(source, Symbolic):
                todo.extend(source.inherit(target, arch))
                continue
            seen.add(id(target))
            tensors = dict(source._parameters) | dict(source._buffers)
            for name, tensor in [*target._parameters.items(), *target._buffers.items()]:
                if tensor is not None:
                    whole = tensors.get(name)
                    if whole is None:
                        raise SpaceError(f"extract: the supernet has no weight '{name}'")
                    tensor.copy_(cut(whole, tensor.shape, {}, centred=False))
            for name, part in target.named_children():
                todo.append((source.get_submodule(name), part))


def _value(value: Any, run: SupernetRun) -> Any:
    return lambda module: resolve(value, active_arch(run))


def _part(name: str, shape: tuple[Any, ...], run: SupernetRun) -> Any:
    def part(module: nn.Module) -> torch.Tensor:
        whole = module._parameters[name]
        assert whole is not None
        size = torch.Size(resolve(shape, active_arch(run)))
        return cut(whole, size, {}, centred=False)

    return part
