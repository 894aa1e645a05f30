"""The forward of a template run once for all archs: what each operator counts, by the decisions.

Tensors and numbers that depend on decisions are stand-ins (`open`). A torch function of stand-ins
runs once for each different combination of shapes that some arch has. Modules without choices
inside, and layers of open shape, are taken whole. Where Python needs one value (an `if`, a
`range`), the forward of the innermost module is run for each value, under that condition.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from hwnas.cost._counting import Counting
from hwnas.cost._tables.domain import Domain, Guard, Guards, TooLargeError, gathered
from hwnas.cost._tables.varying import (
    Axes,
    Varying,
    constant,
    distinct,
    simplified,
    spread,
    typed,
    union,
)
from hwnas.cost._tracing.alike import Alike, attributes
from hwnas.cost._tracing.kernels import Count, Kernels, UnsupportedError
from hwnas.cost._tracing.leaves import LeafCost, Leaves, whole
from hwnas.cost._tracing.open import OpenTensor, OpenValue, has_open, split_open
from hwnas.errors import CostError
from hwnas.space import Expr
from hwnas.space.template import Elastic, exprs

_FORKS = 20_000
_VARIANTS = 4096
_OWN = frozenset(("training", "run", "kind", "arguments", "lent", "interpreter", "forward"))


@dataclass(frozen=True, eq=False)
class Event:
    """Two amounts by the decisions `axes`, where all guards hold.

    Of an operator: its multiply-accumulates and its other operations. Of a parameter: its elements
    and its bytes.
    """

    axes: Axes
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    guards: Guards


class ForwardError(Exception):
    """The user's forward fails for some arch, as it would in a built network."""

    def __init__(self, path: str, cause: Exception) -> None:
        super().__init__(f"the forward fails in {path}: {type(cause).__name__}: {cause}")


class _Fork(BaseException):
    def __init__(self, varying: Varying) -> None:
        self.varying = varying


class Interpreter:
    """Runs modules under guards and keeps the events."""

    def __init__(
        self,
        domain: Domain,
        counting: Counting = Counting(),
        leaves: Leaves | None = None,
        kernels: type[Kernels] = Kernels,
    ) -> None:
        self.domain = domain
        self.counting = counting
        self.leaves = leaves or Leaves(None, counting.per_mac)
        self.kernels = kernels(self.function, counting)
        self.kernels.sink = self
        self.events: list[Any] = []
        self.guards: Guards = ()
        self._pending: list[_Fork] = []
        self._forks = 0
        self._layers: dict[tuple[type, str], nn.Module] = {}
        self._alike = Alike()
        self._changing: set[int] = set()
        self._loose: dict[tuple[Any, ...], Varying] = {}
        self._short: dict[tuple[Any, ...], nn.Module] = {}
        self._whole: dict[tuple[Any, ...], tuple[Any, Count]] = {}
        self._arguments: dict[tuple[int, Guards], Varying] = {}

    # What happens, and where.

    def add(self, count: Count) -> None:
        """Count an operator whose arguments do not depend on decisions."""
        self._note((), np.array(count.macs), np.array(count.extra))

    def _note(self, axes: Axes, macs: Any, extra: Any) -> None:
        self.events.append(Event(axes, macs, extra, self.guards))

    @contextmanager
    def under(self, guard: Guard) -> Iterator[bool]:
        """Run the body where `guard` holds too; False if that is nowhere."""
        guard = self.domain.interned(guard)
        possible = self.domain.possible(guard.axes, self.guards)
        outer = self.guards
        if not (possible & ~guard.mask).any():
            yield bool(possible.any())
            return
        if not (possible & guard.mask).any():
            yield False
            return
        kept = tuple(g for g in outer if not self.domain.implied(g, (guard,)))
        self.guards = (*kept, guard)
        try:
            yield True
        finally:
            self.guards = outer

    def each(self, varying: Varying, run: Callable[[Any], Any]) -> Any:
        """`run` of each value that is possible here, under that condition; the results joined."""
        masks, results = [], []
        for place, value in enumerate(varying.values):
            mask = varying.index == place
            with self.under(Guard(varying.axes, mask)) as somewhere:
                if somewhere:
                    results.append(run(value))
                    masks.append(mask)
        if len(results) == 1:
            return results[0]
        return self._joined(varying.axes, masks, results)

    # Numbers and tensors that depend on decisions.

    def varying(self, value: Any) -> Varying:
        """The table behind a stand-in, formula or plain value."""
        if isinstance(value, OpenTensor | OpenValue):
            return value.varying
        if isinstance(value, Expr):
            return self.domain.formula(value)
        return constant(value)

    def opened(self, varying: Varying) -> Any:
        """The plain value if there is one only, else a stand-in."""
        if len(varying.values) == 1:
            return varying.values[0]
        if all(isinstance(value, Tensor) for value in varying.values):
            return OpenTensor.of(varying, self)
        return OpenValue(varying, self)

    def settled(self, varying: Varying) -> Any:
        """See `Calls.settled`."""
        places = self._places(varying)
        if len(places) != 1:
            self._pending = [_Fork(varying)]
            raise self._pending[0]
        return varying.values[places[0]]

    def _places(self, varying: Varying) -> list[int]:
        possible = self.domain.possible(varying.axes, self.guards) & (varying.index >= 0)
        places: list[int] = np.unique(varying.index[possible]).tolist()
        return places

    def read(self, value: Any) -> Any:
        """An attribute: its formulas as stand-ins, and those that are no numbers settled."""
        if isinstance(value, Expr):
            varying = self.domain.apply(lambda v: v, [self.domain.formula(value)], self.guards)
            if any(type(v) not in (int, float) for v in varying.values):
                return self.settled(varying)
            return self.opened(varying)
        if type(value) in (tuple, list):
            return type(value)(self.read(part) for part in value)
        if type(value) is dict:
            return {key: self.read(part) for key, part in value.items()}
        return value

    def plain(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """See `Calls.plain`."""
        varying = [self.varying(arg) for arg in args]
        return self.opened(self.domain.apply(func, varying, self.guards))

    def function(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See `Calls.function`."""
        # Methods of stand-ins come here past the function mode, which would count them again.
        with torch._C.DisableTorchFunction():
            return self._whole_call(lambda a, k: self.kernels.call(func, a, k), args, kwargs)

    # Modules.

    def leaf(self, module: nn.Module) -> Callable[..., Any]:
        """The forward of a module without choices inside.

        It runs whole for each combination of its inputs; once for modules that are alike, unless
        it is seen to change the module.
        """
        forward, own = module.forward, dict(vars(module))  # Its forward is about to be replaced.

        def run(*args: Any, **kwargs: Any) -> Any:
            before = attributes(module)
            result = forward(*args, **kwargs)
            if attributes(module) != before:
                self._changing.add(self._alike.key(module))
            return result

        def once(args: Any, kwargs: Any) -> Any:
            alike = self._alike.key(module, own)
            owner = id(module) if alike in self._changing else ("alike", alike)
            return self._once(owner, run, args, kwargs)

        def called(*args: Any, **kwargs: Any) -> Any:
            if not (has_open(args) or has_open(kwargs)):
                return forward(*args, **kwargs)
            return self._whole_call(once, args, kwargs)

        return called

    def elastic(self, module: Elastic, args: Any, kwargs: Any) -> Any:
        """A layer of open shape: run for each combination of its shapes and inputs."""
        layers = OpenValue(self.layers(module), self)

        def run(layer: nn.Module, *inputs: Any, **named: Any) -> Any:
            # The whole layer is remembered, so its functions need not be.
            with torch._C.DisableTorchFunction():
                return layer(*inputs, **named)

        return self._whole_call(
            lambda a, k: self._once(id(a[0]), partial(run, a[0]), a[1:], k),
            (layers, *args),
            kwargs,
        )

    def layers(self, module: Elastic) -> Varying:
        """The plain layers that an open one stands for."""
        # A twin has its template's arguments, and these outlive the interpreter.
        key = id(module.arguments), self.guards
        if key not in self._arguments:
            if own := [name for name in vars(module) if name[:1] != "_" and name not in _OWN]:
                raise UnsupportedError(f"the constructor sets '{own[0]}' of an open layer")
            if module._modules:
                raise UnsupportedError("the constructor adds modules to an open layer")
            formulas = list(exprs(module.arguments))
            blank = repr(_filled(module.arguments, {id(f): ... for f in formulas}))

            def made(*values: Any) -> nn.Module:
                short = module.kind, blank, tuple(map(typed, values))
                if short not in self._short:
                    known = {id(f): v for f, v in zip(formulas, values, strict=True)}
                    self._short[short] = self._made(module.kind, _filled(module.arguments, known))
                return self._short[short]

            args = [self.domain.formula(formula) for formula in formulas]
            self._arguments[key] = self.domain.apply(made, args, self.guards, id)
        return self._arguments[key]

    def _made(self, kind: Any, arguments: dict[str, Any]) -> nn.Module:
        key = kind, repr(arguments)
        if key not in self._layers:
            if "device" in arguments:
                arguments = {**arguments, "device": "meta"}
            with self.kernels.building():
                layer: nn.Module = _uninitialised(kind)(**arguments)
            layer.__class__ = kind
            self.leaves.mark(layer, self.counted)
            self._layers[key] = layer.eval()
        return self._layers[key]

    def counted(
        self, cost: LeafCost, module: nn.Module, forward: Any, /, *args: Any, **kwargs: Any
    ) -> Any:
        """Run a leaf: what its operators count is replaced by what its cost says."""
        mark = len(self.events)
        with self.kernels.collecting():
            output = forward(*args, **kwargs)
            amounts = self.leaves.amounts(cost, module, args, kwargs, output)
        del self.events[mark:]

        def count(*amounts: Any) -> tuple[int, int]:
            macs, flops = (whole(amount, module) for amount in amounts)
            return macs, flops - self.counting.per_mac * macs

        if has_open(amounts):
            found = self.domain.apply(count, [self.varying(a) for a in amounts], self.guards)
            table = np.array([*found.values, (0, 0)], np.int64)[found.index]
            self._note(found.axes, table[..., 0], table[..., 1])
        else:
            self.kernels.sink.add(Count(*count(*amounts)))
        return output

    def _once(self, owner: Hashable, run: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        key: tuple[Any, ...]
        if len(args) == 1 and not kwargs and isinstance(args[0], Tensor):
            key = owner, id(args[0])
        else:
            flat, spec = tree_flatten((args, kwargs))
            key = owner, spec, *(id(x) if isinstance(x, Tensor) else typed(x) for x in flat)
        if key not in self._whole:
            result, count = self._run_whole(run, args, kwargs)
            with torch._C.DisableTorchFunction():
                result = self.kernels.all_interned(result)
            self._whole[key] = result, count
        return self._whole[key]

    def _run_whole(self, run: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
        with self.kernels.collecting() as count:
            result = run(*args, **kwargs)
        return result, count

    def forked(self, path: str, run: Callable[[], Any], concrete: Callable[[], Varying]) -> Any:
        """`run()`, and where Python needs one value, for each value; `concrete` lists all."""
        mark = len(self.events)
        self._pending = []
        try:
            return run()
        except _Fork as fork:
            varying = fork.varying
        except (UnsupportedError, TooLargeError, ForwardError, CostError):
            raise
        except Exception as error:
            # C++ code reads a stand-in as a number and hides the fork in an error of its own.
            if self._pending:
                varying = self._pending[0].varying
            else:
                varying = concrete()
                if len(self._places(varying)) <= 1:
                    raise ForwardError(path, error) from error
                if len(varying.values) > _VARIANTS:
                    raise UnsupportedError(f"{path}: {type(error).__name__}: {error}") from error
        self._pending = []
        del self.events[mark:]
        self._forks += len(varying.values)
        if self._forks > _FORKS:
            raise UnsupportedError(f"{path}: the forward branches on too many decisions")
        return self.each(varying, lambda _: self.forked(path, run, concrete))

    # Results of several runs as one.

    def _whole_call(self, call: Any, args: Any, kwargs: Any) -> Any:
        found: list[Any] = []
        make = split_open((args, kwargs), found)
        axes, mask, number, combinations = self.domain.combinations(
            [self.varying(value) for value in found], self.guards
        )
        done = [call(*make(list(values))) for values in combinations]
        self._count(axes, mask, number, [count for _, count in done])
        return self._gathered(axes, mask, number, [result for result, _ in done])

    def _count(self, axes: Axes, mask: Any, number: Any, counts: list[Count]) -> None:
        if any(counts):
            tables = []
            for values in ([c.macs for c in counts], [c.extra for c in counts]):
                table = np.zeros(mask.shape, np.int64)
                table[mask] = np.array(values, np.int64)[number]
                tables.append(table)
            self._note(axes, *tables)

    def _gathered(self, axes: Axes, mask: Any, number: Any, results: list[Any]) -> Any:
        if all(isinstance(result, Tensor) for result in results):
            return self.opened(gathered(axes, mask, number, results, id))
        trees = [tree_flatten(tuples(result)) for result in results]
        if any(spec != trees[0][1] for _, spec in trees):
            specs = gathered(axes, mask, number, [str(spec) for _, spec in trees])
            self.settled(specs)
        leaves = [
            self.opened(gathered(axes, mask, number, list(parts), _identity))
            for parts in zip(*(leaves for leaves, _ in trees), strict=True)
        ]
        return tree_unflatten(leaves, trees[0][1])

    def _joined(self, axes: Axes, masks: list[NDArray[np.bool_]], results: list[Any]) -> Any:
        trees = [tree_flatten(result) for result in results]
        if any(spec != trees[0][1] for _, spec in trees):
            index = np.full(masks[0].shape, -1, np.int64)
            for place, mask in enumerate(masks):
                index[mask] = place
            self.settled(Varying(axes, index, tuple(range(len(masks)))))
        leaves = [
            self._join_leaf(axes, masks, list(parts))
            for parts in zip(*(leaves for leaves, _ in trees), strict=True)
        ]
        return tree_unflatten(leaves, trees[0][1])

    def _join_leaf(self, axes: Axes, masks: list[NDArray[np.bool_]], parts: list[Any]) -> Any:
        if all(part is parts[0] for part in parts):
            return parts[0]
        return self.opened(self._either(axes, masks, parts))

    def _either(self, axes: Axes, masks: list[NDArray[np.bool_]], parts: list[Any]) -> Varying:
        tables = [self.varying(part) for part in parts]
        wider = union([axes, *(table.axes for table in tables)])
        places, values = distinct([v for table in tables for v in table.values], _identity)
        index = np.full(self.domain.shape(wider), -1, np.int64)
        start = 0
        for mask, table in zip(masks, tables, strict=True):
            own = np.array([*places[start : start + len(table.values)], -1], np.int64)
            start += len(table.values)
            here = np.broadcast_to(spread(mask, axes, wider), index.shape)
            index = np.where(here, spread(own[table.index], table.axes, wider), index)
        wider, index = simplified(wider, index)
        return Varying(wider, index, tuple(values))

    def narrowed(self, value: Any, guard: Guard) -> Any:
        """`value`, of which only where `guard` holds is still made use of."""
        return value

    def alike(self, values: list[Any]) -> bool:
        """Whether tensors have the same one shape, whatever is decided."""
        return all(value is values[0] for value in values)

    def loose_ends(self, sources: list[Varying], first: int, count: int) -> Varying:
        """Which of `count` nodes, numbered from `first`, no source names; for cells alike once."""
        key = tuple(source.axes for source in sources), first, count
        if key not in self._loose:
            self._loose[key] = self.domain.apply(
                lambda *read: tuple(n for n in range(count) if first + n not in read), sources
            )
        return self._loose[key]

    def everything(self, values: list[Varying], labels: list[int]) -> Varying:
        """One number for each combination of `values` and decisions that is possible here."""
        args = [*values, *(self._decision(axis) for axis in labels)]
        axes = union(arg.axes for arg in args)
        if math.prod(self.domain.shape(axes)) > 1 << 18:
            raise UnsupportedError("too many decisions to try them all")
        axes, mask, number, found = self.domain.combinations(args, self.guards)
        return gathered(axes, mask, number, list(range(len(found))))

    def _decision(self, axis: int) -> Varying:
        size = self.domain.sizes[axis]
        return Varying((axis,), np.arange(size), tuple(range(size)))


@cache
def _uninitialised(kind: Any) -> Any:
    """`kind` without initial weights, which tensors without data do not show."""
    resets = {name for name in ("reset_parameters", "_reset_parameters") if hasattr(kind, name)}
    return type(kind.__name__, (kind,), dict.fromkeys(resets, _nothing))


def _nothing(*_: Any) -> None:
    pass


def _filled(value: Any, known: dict[int, Any]) -> Any:
    if isinstance(value, Expr):
        return known[id(value)]
    if isinstance(value, tuple | list):
        return type(value)(_filled(part, known) for part in value)
    if isinstance(value, dict):
        return {key: _filled(part, known) for key, part in value.items()}
    return value


def tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, torch.Size) else value


def _identity(value: Any) -> Any:
    return id(value) if isinstance(value, Tensor) else typed(value)
