"""Layers and parameters whose shapes are choices.

In a template they are placeholders. In a supernet they hold weights of the largest shape, and act
as the plain layer of the active arch with a part of those weights: the leading channels, the
centre of a convolution kernel, and the leading part of each block of a stacked weight.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from hwnas.errors import SpaceError
from hwnas.space import _graph
from hwnas.space._choice import Choice
from hwnas.space._decision import Decision
from hwnas.space._expr import Arch, Expr, Op, exprs, resolve
from hwnas.space._modes import SupernetRun, TemplateRun
from hwnas.space._run import current_run, required_run
from hwnas.space._symbolic import Symbolic, active_arch, is_active

_VARIANTS = 1 << 16
_SHAPE = "_hwnas_shape"

M = TypeVar("M", bound=nn.Module)


def layer(kind: type[M], arguments: dict[str, Any]) -> M:
    """`kind(**arguments)`; where an argument is open, the elastic layer that stands for it.

    Raises:
        SpaceError: an argument is open and no ModelSpace is under construction.
    """
    if next(exprs(list(arguments.values())), None) is None:
        run = current_run()
        return run.plain(kind, arguments) if isinstance(run, TemplateRun) else kind(**arguments)
    run = required_run(f"{kind.__name__} with an argument that is a choice")
    if not run.symbolic:
        raise foreign(arguments, kind.__name__)
    return cast(M, Elastic(kind, arguments))


def parameter(
    *shape: int | Expr,
    init: Callable[[Tensor], object] = nn.init.zeros_,
    requires_grad: bool = True,
) -> nn.Parameter:
    """A bare parameter whose shape may depend on choices; `init` fills it in place.

    In a built network it is a plain `torch.nn.Parameter`. In a supernet the attribute that holds
    it is its leading part under the active arch.

    Raises:
        SpaceError: the shape is open and no ModelSpace is under construction.
    """
    actual: Any = shape
    if symbolic := next(exprs(shape), None) is not None:
        run = required_run("parameter with a shape that is a choice")
        if isinstance(run, SupernetRun):
            actual = map(max, zip(*variants(run, shape), strict=True))
        elif run.symbolic:
            actual = resolve_first(shape)
        else:
            raise foreign(shape, "parameter")
    tensor = torch.empty(tuple(actual))
    if not tensor.is_meta:
        with torch.no_grad():
            init(tensor)
    result = nn.Parameter(tensor, requires_grad)
    if symbolic:
        setattr(result, _SHAPE, shape)
    return result


def shape_of(tensor: Tensor | None) -> tuple[int | Expr, ...] | None:
    """The open shape of a tensor made by `parameter`, None for any other."""
    return getattr(tensor, _SHAPE, None)


class Elastic(Symbolic):
    """A layer `kind` with open arguments.

    In a template, `lent` are the attributes of a plain layer that the constructor has read, such
    as a weight to be tied; each is one object, by which the layers that hold it can be found.
    """

    def __init__(self, kind: type[nn.Module], arguments: dict[str, Any]) -> None:
        super().__init__()
        self.kind = kind
        self.arguments = arguments
        self.lent: dict[str, Any] = {}
        self._made: dict[str, nn.Module] = {}
        if isinstance(self.run, SupernetRun):
            self.full = _widest(kind, variants(self.run, arguments))

    def uses(self) -> Iterator[tuple[str, Expr, bool]]:
        """See `Symbolic.uses`."""
        for name, argument in self.arguments.items():
            for expr in exprs(argument):
                yield f".{name}", expr, False

    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        """See `Symbolic.parts`."""
        return iter(())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the plain layer of the active arch computes with its part of the weights."""
        plain = self._plain(self.arch).train(self.training)
        source = _tensors(self.full)
        tensors = {
            name: _part(plain, name, source[name], tensor.shape)
            for name, tensor in _tensors(plain).items()
        }
        return torch.func.functional_call(plain, tensors, args, kwargs)

    def inherit(self, built: nn.Module, arch: Arch) -> Iterator[tuple[nn.Module, nn.Module]]:
        """See `Symbolic.inherit`."""
        source = _tensors(self.full)
        for name, tensor in _tensors(built).items():
            tensor.copy_(_part(built, name, source[name], tensor.shape))
        return iter(())

    def _plain(self, arch: Arch) -> nn.Module:
        arguments = resolve(self.arguments, arch)
        key = repr(arguments)
        if key not in self._made:
            with torch.device("meta"):
                self._made[key] = self.kind(**arguments)
        return self._made[key]

    def __getattr__(self, name: str) -> Any:
        """Arguments (`self.conv.out_channels`) and what else the plain layer has (`weight`)."""
        arguments = self.__dict__.get("arguments", {})
        if name in arguments:
            value = arguments[name]
            return resolve(value, active_arch(self.run)) if is_active(self.run) else value
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or "arguments" not in self.__dict__:
                raise
        full = self._modules.get("full")
        if full is not None:
            return getattr(full, name)
        if name not in self.lent:
            self.lent[name] = getattr(self.kind(**resolve_first(arguments)), name)
        return self.lent[name]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Elastic:
        if "full" not in self._modules:
            self.converted = True  # A template has no weights that would tell their new type.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        """Parameters go to the full layer, so that tied weights stay tied."""
        if not isinstance(value, nn.Parameter):
            super().__setattr__(name, value)
        elif (full := self._modules.get("full")) is not None:
            setattr(full, name, value)
        else:
            self._parameters[name] = value


def cut(tensor: Tensor, shape: torch.Size, blocks: Mapping[int, int], *, centred: bool) -> Tensor:
    """The part of `tensor` that serves a layer whose weight has `shape`.

    Args:
        tensor: the weight of the largest shape.
        shape: the shape wanted, of the same number of dimensions, nowhere larger.
        blocks: for a dimension that is a stack of equal blocks, their number; each block is cut.
        centred: take the middle, not the start, of dimensions 2, 3, ... (convolution kernels).
    """
    for dim, size in enumerate(shape):
        count = blocks.get(dim, 1)
        whole, part = tensor.shape[dim] // count, size // count
        if whole == part:
            continue
        start = (whole - part) // 2 if centred and dim >= 2 else 0
        if count == 1:
            tensor = tensor.narrow(dim, start, part)
        else:
            stacked = torch.unflatten(tensor, dim, (count, whole))
            tensor = stacked.narrow(dim + 1, start, part).flatten(dim, dim + 1)
    return tensor


def variants(run: SupernetRun, arguments: Any) -> list[Any]:
    """The different values that open arguments take where the constructor now stands.

    Formulas that tell their possible values count as choices of their own.
    """
    free: list[Choice] = []
    arguments = _loosened(arguments, free)
    labels = {label for expr in exprs(arguments) for label in expr.labels}
    condition = run.condition
    if isinstance(condition, Expr):
        labels |= condition.labels
    decisions = _graph.closure(run.decisions, labels)
    decisions += tuple(Decision(choice.label, choice.values) for choice in free)
    if _graph.count(decisions) > _VARIANTS:
        names = ", ".join(sorted(labels))
        raise SpaceError(f"a layer of the supernet rests on too many choices at once: {names}")
    found = {}
    for arch in _graph.archs(decisions):
        if not isinstance(condition, Expr) or condition.evaluate(arch):
            value = resolve(arguments, arch)
            found[repr(value)] = value
    return list(found.values())


def _loosened(value: Any, free: list[Choice]) -> Any:
    """`value` with a new choice, noted in `free`, for each formula with `possible` values."""
    if isinstance(value, Op):
        if value.possible:
            free.append(Choice.symbolic(value.possible, f" {len(free)}", True))
            return free[-1]
        return Op(value.symbol, *(_loosened(arg, free) for arg in value.args))
    if type(value) in (tuple, list):
        return type(value)(_loosened(part, free) for part in value)
    if type(value) is dict:
        return {key: _loosened(part, free) for key, part in value.items()}
    return value


def resolve_first(value: Any) -> Any:
    """`value` with every choice at its first value."""
    if isinstance(value, Expr):
        return value.compute(lambda choice: choice.values[0])
    if type(value) in (tuple, list):
        return type(value)(resolve_first(part) for part in value)
    if type(value) is dict:
        return {key: resolve_first(part) for key, part in value.items()}
    return value


def foreign(value: Any, what: str) -> SpaceError:
    """The error for a choice that was not made by the constructor under way."""
    leaf = next(next(exprs(value)).leaves())
    return SpaceError(
        f"{what} has {leaf.describe()}, made outside the constructor: make it inside, or pass it "
        "to ModelSpace as an argument of the network"
    )


def _widest(kind: type[nn.Module], choices: list[dict[str, Any]]) -> nn.Module:
    """A layer with real weights, each as large as the largest of any variant."""
    variants: dict[str, dict[torch.Size, dict[str, Any]]] = {}
    best, most = choices[0], -1
    for arguments in choices:
        with torch.device("meta"):
            tensors = _tensors(kind(**arguments))
        for name, tensor in tensors.items():
            variants.setdefault(name, {})[tensor.shape] = arguments
        if (total := sum(tensor.numel() for tensor in tensors.values())) > most:
            best, most = arguments, total
    full = kind(**best)
    for name, shapes in variants.items():
        largest = torch.Size(map(max, zip(*shapes, strict=True)))
        present = _tensors(full).get(name)
        if present is None or present.shape != largest:
            _enlarge(full, name, largest, [kind(**arguments) for arguments in shapes.values()])
    return full


def _enlarge(full: nn.Module, name: str, shape: torch.Size, layers: list[nn.Module]) -> None:
    """Give `full` a tensor `name` of `shape`, initialised as each of `layers` does its part."""
    parts = [(layer, _tensors(layer)[name]) for layer in layers]
    like = parts[0][1]
    tensor = like.new_zeros(shape)
    places = torch.arange(shape.numel(), device=like.device).view(shape)
    for layer, part in sorted(parts, key=lambda pair: pair[1].numel()):
        place = _part(layer, name, places, part.shape)
        tensor.view(-1)[place.flatten()] = part.detach().flatten()
    path, _, attribute = name.rpartition(".")
    owner = full.get_submodule(path)
    if isinstance(like, nn.Parameter):
        owner.register_parameter(attribute, nn.Parameter(tensor, like.requires_grad))
    else:
        owner.register_buffer(attribute, tensor)


def _part(layer: nn.Module, name: str, full: Tensor, shape: torch.Size) -> Tensor:
    """The part of the weight `full` that `layer` has as its weight `name`."""
    return cut(full, shape, _blocks(layer, name), centred=isinstance(layer, _ConvNd))


def _blocks(layer: nn.Module, name: str) -> dict[int, int]:
    """The dimensions of a weight that are stacks of equal blocks, and how many blocks."""
    if isinstance(layer, nn.MultiheadAttention) and name.startswith("in_proj_"):
        return {0: 3}
    if isinstance(layer, nn.RNNBase):
        gates = {"LSTM": 4, "GRU": 3}.get(layer.mode, 1)
        blocks = {} if name.startswith("weight_hr") else {0: gates}
        if layer.bidirectional and re.match(r"weight_ih_l[1-9]", name):
            blocks[1] = 2  # The input is the output of two directions.
        return blocks
    return {}


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
