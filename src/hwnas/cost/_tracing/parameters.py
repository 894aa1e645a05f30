"""Parameters of a template by the decisions: each one once, however many modules hold it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hwnas.cost._tables.domain import Guard, Guards
from hwnas.cost._tables.varying import Varying, constant, spread, union
from hwnas.cost._tracing.interpreter import Event, Interpreter
from hwnas.cost._tracing.trace import unique_parameters
from hwnas.space import Cell, LayerChoice, Repeat
from hwnas.space.template import Elastic, shape_of

_Sizes = tuple[int, int]


def parameter_events(template: nn.Module, interpreter: Interpreter) -> list[Event]:
    """Elements and bytes of every parameter, where it is built.

    Raises:
        CostError: a lazy parameter has no shape yet.
    """
    unique_parameters(template)
    walk = _Walk(interpreter)
    for module in template.modules():
        if isinstance(module, Elastic):
            for name, tensor in _lent(module).items():
                walk.owners[id(tensor)] = name
    walk.visit(template)
    return walk.events()


class _Walk:
    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self.owners: dict[int, str] = {}
        self._holders: dict[Hashable, list[Guards]] = {}
        self._sizes: dict[Hashable, Varying] = {}
        self._named: dict[int, dict[str, _Sizes]] = {}

    def visit(self, module: nn.Module) -> None:
        """Note the parameters of `module` and its parts under the conditions that hold here."""
        domain, under = self.interpreter.domain, self.interpreter.under
        if isinstance(module, Elastic):
            self._layer(module)
        elif isinstance(module, LayerChoice):
            decision = domain.formula(module.decision)
            for key, part in zip(module.keys, module.candidates, strict=True):
                mask = decision.where(lambda value, key=key: value == key)  # type: ignore[misc]
                with under(Guard(decision.axes, mask)) as somewhere:
                    if somewhere:
                        self.visit(part)
        elif isinstance(module, Repeat):
            depth = domain.formula(module.depth)
            for i, part in enumerate(module.blocks):
                mask = depth.where(lambda value, i=i: value is not None and value > i)  # type: ignore[misc]
                with under(Guard(depth.axes, mask)) as somewhere:
                    if somewhere:
                        self.visit(part)
        elif isinstance(module, Cell):
            self._cell(module)
        else:
            for parameter in module._parameters.values():
                if parameter is not None:
                    self._hold(*self._tensor(parameter))
            for child in module._modules.values():
                if child is not None:
                    self.visit(child)

    def _cell(self, cell: Cell) -> None:
        domain = self.interpreter.domain
        for slot in (slot for node in cell.slots for slot in node):
            pair = domain.apply(
                lambda *pair: pair,
                [domain.formula(slot.op), domain.formula(slot.source)],
                self.interpreter.guards,
            )
            for key, part in slot.modules.items():
                mask = pair.where(lambda value, key=key: value == key)  # type: ignore[misc]
                with self.interpreter.under(Guard(pair.axes, mask)) as somewhere:
                    if somewhere:
                        self.visit(part)
        for extra in (cell.preprocessor, cell.postprocessor):
            if extra is not None:
                self.visit(extra)

    def _layer(self, module: Elastic) -> None:
        layers = self.interpreter.layers(module)
        # Parameters that others hold as well are told apart, the rest counts as one.
        lent = _lent(module)
        apart = {*lent, *module._parameters}
        own = self._of(layers, lambda name: name not in apart)
        self._hold(("own", id(module)), own)
        for name in apart:
            tensor = module._parameters.get(name) if name in module._parameters else lent[name]
            if tensor is None:
                continue
            if id(tensor) in self.owners:
                self._hold(id(tensor), self._of(layers, lambda n, name=name: n == name))
            else:
                self._hold(*self._tensor(tensor))

    def _of(self, layers: Varying, counts: Any) -> Varying:
        def total(layer: nn.Module) -> _Sizes:
            if id(layer) not in self._named:
                with torch._C.DisableTorchFunction():
                    self._named[id(layer)] = {
                        name: (p.numel(), p.numel() * p.element_size())
                        for name, p in layer.named_parameters()
                    }
            found = [sizes for name, sizes in self._named[id(layer)].items() if counts(name)]
            return sum(n for n, _ in found), sum(b for _, b in found)

        return layers.mapped(total)

    def _tensor(self, tensor: Tensor) -> tuple[Hashable, Varying]:
        shape = shape_of(tensor)
        size = tensor.element_size()
        if shape is None:
            return id(tensor), constant((tensor.numel(), tensor.numel() * size))

        def total(*sizes: int) -> _Sizes:
            count = int(np.prod(sizes, dtype=object))
            return count, count * size

        args = [self.interpreter.varying(part) for part in shape]
        return id(tensor), self.interpreter.domain.apply(total, args, self.interpreter.guards)

    def _hold(self, key: Hashable, sizes: Varying) -> None:
        if key in self._holders:
            # Held at several places: its size must be known wherever one of them is built.
            sizes = _first_defined(self._sizes[key], sizes)
        self._sizes[key] = sizes
        self._holders.setdefault(key, []).append(self.interpreter.guards)

    def events(self) -> list[Event]:
        """One event for each parameter that is there at all."""
        events = []
        for key, holders in self._holders.items():
            sizes = self._sizes[key]
            if not any(count for count, _ in sizes.values):
                continue
            table = np.array([*sizes.values, (0, 0)], np.int64)
            guards: Guards = ()
            if len(holders) == 1:
                guards = holders[0]
            elif all(holders):
                guards = (self._any(holders),)
            first, second = (table[:, i][sizes.index] for i in (0, 1))
            events.append(Event(sizes.axes, first, second, guards))
        return events

    def _any(self, holders: list[Guards]) -> Guard:
        axes = union(guard.axes for guards in holders for guard in guards)
        mask = np.zeros(self.interpreter.domain.shape(axes), bool)
        for guards in holders:
            here = np.ones_like(mask)
            for guard in guards:
                here &= spread(guard.mask, guard.axes, axes)
            mask |= here
        return Guard(axes, mask)


def _lent(module: Elastic) -> dict[str, Tensor]:
    """The parameters of an open layer that the constructor has had in hand."""
    found: dict[str, Tensor] = {}
    for name, value in module.lent.items():
        if isinstance(value, nn.Parameter):
            found[name] = value
        elif isinstance(value, nn.Module):
            found |= {f"{name}.{inner}": p for inner, p in value.named_parameters()}
    return found


def _first_defined(one: Varying, two: Varying) -> Varying:
    axes = union([one.axes, two.axes])
    first, second = (spread(v.index, v.axes, axes) for v in (one, two))
    values = (*one.values, *two.values)
    index = np.where(first >= 0, first, np.where(second >= 0, second + len(one.values), -1))
    return Varying(axes, index, values)
