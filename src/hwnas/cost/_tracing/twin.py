"""A copy of a template whose modules run under the interpreter; the template is not touched."""

from __future__ import annotations

import types
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from hwnas.cost._tables.domain import Guard
from hwnas.cost._tables.varying import Varying
from hwnas.cost._tracing.interpreter import Interpreter
from hwnas.cost._tracing.kernels import UnsupportedError
from hwnas.cost._tracing.open import OpenTensor, OpenValue
from hwnas.space import Cell, Expr, InputChoice, LayerChoice, Repeat
from hwnas.space.template import Elastic, Symbolic, exprs, reduced, shape_of

Watcher: TypeAlias = Callable[[tuple[Any, ...], dict[str, Any]], None]
"""Told the arguments of each call of a module, stand-ins among them."""


def twin(
    template: nn.Module,
    interpreter: Interpreter,
    watchers: Mapping[nn.Module, Watcher] | None = None,
) -> nn.Module:
    """A copy of `template`, in evaluation mode, that can be called with stand-ins.

    Args:
        watchers: modules of the template, each with what is told of its calls.
    """
    memo: dict[int, Any] = {}
    copy: nn.Module = _copied(template, memo)
    copy.eval()
    watched = {id(memo[id(module)]): watcher for module, watcher in (watchers or {}).items()}
    _Wiring(interpreter, watched).wire(copy, type(template).__name__, "")
    return copy


class _Wiring:
    def __init__(self, interpreter: Interpreter, watched: Mapping[int, Watcher]) -> None:
        self.interpreter = interpreter
        self.watched = watched
        self._labels: dict[int, frozenset[str]] = {}
        self._done: set[int] = set()

    def labels(self, module: nn.Module) -> frozenset[str]:
        """The decisions that `module` and its parts name."""
        if id(module) not in self._labels:
            self._labels[id(module)] = frozenset()  # Ends cycles.
            found = {label for expr in formulas(module) for label in expr.labels}
            for part in _parts(module):
                found |= self.labels(part)
            self._labels[id(module)] = frozenset(found)
        return self._labels[id(module)]

    def wire(self, module: nn.Module, root: str, path: str) -> None:
        """Let `module` and its parts run under the interpreter."""
        if id(module) in self._done:
            return
        self._done.add(id(module))
        self._wire(module, root, path)
        if (watcher := self.watched.get(id(module))) is not None:
            _set_forward(module, partial(_watched, watcher, module.forward))

    def _wire(self, module: nn.Module, root: str, path: str) -> None:
        interpreter = self.interpreter
        if not self.labels(module) and not self._watches_inside(module):
            interpreter.leaves.mark(module, interpreter.counted)
            _set_forward(module, interpreter.leaf(module))
            return
        if isinstance(module, Elastic):
            module.__class__ = _Layer
            vars(module)["interpreter"] = interpreter
            return
        for name, part in module._modules.items():
            if part is not None:
                self.wire(part, root, f"{path}.{name}" if path else name)
        if isinstance(module, Symbolic):
            _set_forward(module, _symbolic(module, interpreter))
            return
        self._follow(module)
        interpreter.leaves.mark_one(module, interpreter.counted)
        if type(module) is not nn.Sequential:
            where = f"module '{path}' ({type(module).__name__}) of {root}" if path else root
            _set_forward(module, partial(self._forked, module, module.forward, where))

    def _watches_inside(self, module: nn.Module) -> bool:
        parts = (part for part in module.modules() if part is not module)
        return bool(self.watched) and any(id(part) in self.watched for part in parts)

    def _forked(
        self, module: nn.Module, forward: Any, where: str, *args: Any, **kwargs: Any
    ) -> Any:
        interpreter = self.interpreter

        def concrete() -> Varying:
            given = [x.varying for x in _stand_ins((args, kwargs))]
            columns = interpreter.domain.column
            return interpreter.everything(given, sorted(columns[n] for n in self.labels(module)))

        return interpreter.forked(where, lambda: forward(*args, **kwargs), concrete)

    def _follow(self, module: nn.Module) -> None:
        """Let attributes that hold formulas be what they are worth here."""
        names: dict[str, Any] = {}
        interpreter = self.interpreter
        for name, value in list(vars(module).items()):
            if name[:1] != "_" and next(exprs(value), None) is not None:
                names[name] = property(partial(_read, interpreter, value))
                del vars(module)[name]
        for name, parameter in list(module._parameters.items()):
            if parameter is not None and (shape := shape_of(parameter)) is not None:
                names[name] = property(partial(_open_parameter, interpreter, parameter, shape))
        if names:
            # Properties belong to a class, so this one module gets a class of its own.
            module.__class__ = type(type(module).__name__, (type(module),), names)


class _Layer(Elastic):
    """An open layer in a twin: its attributes are those of the plain layers it stands for."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        interpreter: Interpreter = vars(self)["interpreter"]
        return interpreter.elastic(self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        if name.startswith("_") or "interpreter" not in own:
            return nn.Module.__getattr__(self, name)
        if name in own["arguments"]:
            return own["interpreter"].read(own["arguments"][name])
        layers = OpenValue(own["interpreter"].layers(self), own["interpreter"])
        return own["interpreter"].plain(lambda layer: _attribute(layer, name), (layers,))


def _attribute(layer: nn.Module, name: str) -> Any:
    return getattr(layer, name)


def _read(interpreter: Interpreter, value: Any, _: nn.Module) -> Any:
    return interpreter.read(value)


def _watched(watcher: Watcher, forward: Any, *args: Any, **kwargs: Any) -> Any:
    watcher(args, kwargs)
    return forward(*args, **kwargs)


def _open_parameter(
    interpreter: Interpreter, parameter: Tensor, shape: tuple[Any, ...], _: nn.Module
) -> Any:
    def made(*sizes: int) -> Tensor:
        with torch._C.DisableTorchFunction():
            return interpreter.kernels.interned(parameter.detach().new_empty(sizes, device="meta"))

    return interpreter.plain(made, shape)


def _symbolic(module: Symbolic, interpreter: Interpreter) -> Callable[..., Any]:
    domain = interpreter.domain
    if isinstance(module, LayerChoice):
        place = {key: i for i, key in enumerate(module.keys)}
        candidates = list(module.candidates)

        def choose(*args: Any, **kwargs: Any) -> Any:
            return interpreter.each(
                domain.formula(module.decision), lambda key: candidates[place[key]](*args, **kwargs)
            )

        return choose
    if isinstance(module, Repeat):

        def repeat(x: Any) -> Any:
            return _repeated(interpreter, domain.formula(module.depth), list(module.blocks), x)

        return repeat
    if isinstance(module, InputChoice):

        def pick(inputs: Any) -> Any:
            def picked(value: Any) -> Any:
                return reduced([inputs[i] for i in module.subsets[value]], module.reduction)

            return interpreter.each(domain.formula(module.decision), picked)

        return pick
    if isinstance(module, Cell):
        return partial(_cell, interpreter, module)
    raise UnsupportedError(f"tables do not follow {type(module).__name__}")


def _repeated(interpreter: Interpreter, depth: Varying, blocks: list[nn.Module], x: Any) -> Any:
    after = {0: x}
    for i, block in enumerate(blocks):
        mask = depth.where(lambda value, i=i: value is not None and value > i)  # type: ignore[misc]
        deeper = Guard(depth.axes, mask)
        with interpreter.under(deeper) as somewhere:
            if somewhere:
                after[i + 1] = block(after[i])
        if somewhere:
            # What a block has put out is held on where it is the last, and by the next block.
            last = depth.where(lambda value, i=i: value == i)  # type: ignore[misc]
            after[i] = interpreter.narrowed(after[i], Guard(depth.axes, last))
            after[i + 1] = interpreter.narrowed(after[i + 1], deeper)
    return interpreter.each(depth, lambda value: after[value])


def _cell(interpreter: Interpreter, cell: Cell, *inputs: Any) -> Any:
    domain = interpreter.domain
    given = list(inputs[0]) if isinstance(inputs[0], list | tuple) else list(inputs)
    states = list(cell.preprocessor(given)) if cell.preprocessor is not None else list(given)
    first = len(states)
    candidates = iter(cell.candidates)
    parts: list[Any] = []
    for node in cell.slots:
        # As in a built cell, the parts of the node before are held until these are there.
        made: list[Any] = []
        for slot in node:
            modules = {key: next(candidates) for key in slot.modules}
            pair = domain.apply(
                lambda *pair: pair,
                [domain.formula(slot.op), domain.formula(slot.source)],
                interpreter.guards,
            )

            def chosen(key: Any, modules: Any = modules) -> Any:
                return modules[key](states[key[1]])

            made.append(interpreter.each(pair, chosen))
        parts = made
        states.append(sum(parts[1:], parts[0]))
    output = _concatenated(interpreter, cell, first, states[first:])
    return cell.postprocessor(output, given) if cell.postprocessor is not None else output


def _concatenated(interpreter: Interpreter, cell: Cell, first: int, nodes: list[Any]) -> Any:
    """The nodes that `cell` puts out, as one tensor."""
    if cell.merge_op == "all":
        return torch.cat(nodes, cell.concat_dim)
    sources = [interpreter.domain.formula(slot.source) for node in cell.slots for slot in node]
    loose = interpreter.loose_ends(sources, first, len(nodes))
    if interpreter.alike(nodes):
        # Nodes of one shape: only their number matters.
        count = OpenValue(interpreter.domain.apply(len, [loose], interpreter.guards), interpreter)
        return interpreter.function(_copies, (nodes[0], count, cell.concat_dim), {})
    return interpreter.each(
        loose, lambda places: torch.cat([nodes[n] for n in places], cell.concat_dim)
    )


def _copies(tensor: Tensor, count: int, dim: int) -> Tensor:
    return torch.cat([tensor] * count, dim)


def _set_forward(module: nn.Module, forward: Callable[..., Any]) -> None:
    vars(module)["forward"] = forward


def formulas(module: nn.Module) -> list[Expr]:
    """The formulas that a module of a template holds itself."""
    if isinstance(module, Symbolic):
        return [expr for _, expr, _ in module.uses()]
    shapes = [shape_of(p) for p in module._parameters.values()]
    return list(exprs([*vars(module).values(), *(list(shape) for shape in shapes if shape)]))


def _parts(module: nn.Module) -> list[nn.Module]:
    return [part for part in module._modules.values() if part is not None]


def _stand_ins(value: Any) -> list[OpenTensor | OpenValue]:
    if isinstance(value, OpenTensor | OpenValue):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [found for part in value for found in _stand_ins(part)]
    return []


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    """Modules and plain containers copied, tensors without data, everything else as it is."""
    known = memo.get(id(value))
    if known is not None:
        return known
    kind = type(value)
    if isinstance(value, nn.Module):
        copy = memo[id(value)] = object.__new__(kind)
        own = vars(copy)
        for name, attribute in vars(value).items():
            own[name] = _copied(attribute, memo)
        if isinstance(value, Elastic):
            own["arguments"] = value.arguments
        return copy
    if isinstance(value, Tensor):
        memo[id(value)] = value if value.is_meta else _without_data(value)
        return memo[id(value)]
    if kind is dict or kind is OrderedDict:
        return kind((key, _copied(part, memo)) for key, part in value.items())
    if kind is list or kind is tuple or kind is set:
        return kind(_copied(part, memo) for part in value)
    if kind is types.MethodType and isinstance(value.__self__, nn.Module):
        return types.MethodType(value.__func__, _copied(value.__self__, memo))
    return value


def _without_data(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor.detach(), device="meta")
    return nn.Parameter(empty, False) if isinstance(tensor, nn.Parameter) else empty
