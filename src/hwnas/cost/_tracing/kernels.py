"""Torch functions on tensors without data, each different call run and counted once."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import flop_registry

from hwnas.cost._counting import Counting
from hwnas.cost._tracing.trace import Observer


class UnsupportedError(Exception):
    """The forward does something that tables cannot follow; the message says what."""


class OpenArgumentError(Exception):
    """An argument depends on decisions, so that there is no one call to run."""


class Count:
    """Multiply-accumulates, and the other operations that count."""

    __slots__ = ("extra", "macs")

    def __init__(self, macs: int = 0, extra: int = 0) -> None:
        self.macs = macs
        self.extra = extra

    def __bool__(self) -> bool:
        return bool(self.macs or self.extra)

    def add(self, other: Count) -> None:
        self.macs += other.macs
        self.extra += other.extra


class Kernels(TorchFunctionMode):
    """While active, answers calls of torch functions from memory where it can.

    Tensors of one shape, stride and type are one object, so that equal calls are seen as equal.
    `open_call` is asked where an argument depends on decisions; `sink` is where counts go.
    """

    def __init__(self, open_call: Any, counting: Counting) -> None:
        super().__init__()
        self.sink: Any = Count()
        self._open_call = open_call
        self._observer = MacObserver(counting)
        self._memo: dict[Hashable, tuple[Any, Count]] = {}
        self._tensors: dict[Hashable, tuple[Tensor, int]] = {}
        self._codes: dict[int, int] = {}
        self._answered = Count()
        self._building = False

    @contextmanager
    def collecting(self) -> Iterator[Count]:
        """What runs inside, or is remembered, is counted here and nowhere else."""
        outer, self.sink = self.sink, Count()
        seen = self._observer
        macs, extra, answered = seen.macs, seen.extra, self._answered
        before = macs, extra, answered.macs, answered.extra
        try:
            yield self.sink
        finally:
            # Functions that came here have counted themselves; the rest was seen as operators.
            count, self.sink = self.sink, outer
            rest = Count(
                seen.macs - before[0] - (answered.macs - before[2]),
                seen.extra - before[1] - (answered.extra - before[3]),
            )
            count.add(rest)
            answered.add(rest)  # Where one collects within another, only the inner one has it.

    @contextmanager
    def building(self) -> Iterator[None]:
        """Make layers on the meta device, without initial weights."""
        self._building = True
        try:
            yield
        finally:
            self._building = False

    @contextmanager
    def observing(self) -> Iterator[None]:
        """Make tensors without data, see operators, see functions."""
        with torch.inference_mode(), self._observer, self:
            yield

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if self._building:
            return func(*args, **(kwargs or {}))
        try:
            result, count = self.call(func, args, kwargs or {})
        except OpenArgumentError:
            return self._open_call(func, args, kwargs or {})
        if count:
            self.sink.add(count)
        return result

    def call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Count]:
        """The result of a call and what it counts.

        Raises:
            OpenArgumentError: an argument depends on decisions.
        """
        tensors: list[Tensor] = []
        key: Hashable = (func, self._key(args, tensors), self._key(kwargs, tensors))
        if not tensors and func in _device_constructors() and kwargs.get("device") is None:
            return self._run(func, args, {**kwargs, "device": "meta"})
        reads = getattr(func, "__name__", "") == "__get__"
        if reads or not tensors or any(not tensor.is_meta for tensor in tensors):
            return self._run(func, args, kwargs)
        try:
            known = self._memo.get(key)
        except TypeError:  # An argument without a hash.
            return self._run(func, args, kwargs)
        if known is None:
            before = [_signature(tensor) for tensor in tensors]
            result, count = self._run(func, args, kwargs)
            if [_signature(tensor) for tensor in tensors] != before:
                name = getattr(func, "__name__", repr(func))
                raise UnsupportedError(f"'{name}' changes the shape of a tensor in place")
            known = self.all_interned(result), count
            self._memo[key] = known
        return known

    def interned(self, tensor: Tensor) -> Tensor:
        """The one tensor of this shape, stride and type."""
        if not tensor.is_meta:
            return tensor
        return self._entry(tensor)[0]

    def all_interned(self, result: Any) -> Any:
        """The same for all tensors of a result."""
        if isinstance(result, Tensor):
            return self.interned(result)
        return tree_map_only(Tensor, self.interned, result)

    def _entry(self, tensor: Tensor) -> tuple[Tensor, int]:
        signature = _signature(tensor)
        entry = self._tensors.get(signature)
        if entry is None:
            entry = tensor.detach(), len(self._tensors)
            self._tensors[signature] = entry
            self._codes[id(entry[0])] = entry[1]
        return entry

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Count]:
        seen = self._observer
        before = seen.macs, seen.extra
        result = func(*args, **kwargs)
        count = Count(seen.macs - before[0], seen.extra - before[1])
        self._answered.add(count)
        return result, count

    def _key(self, value: Any, tensors: list[Tensor]) -> Hashable:
        kind = type(value)
        if isinstance(value, Tensor):
            if getattr(kind, "is_open", False):
                raise OpenArgumentError
            tensors.append(value)
            code = self._codes.get(id(value))
            return Tensor, self._entry(value)[1] if code is None and value.is_meta else code
        if kind is tuple or kind is list or kind is torch.Size:
            return kind, tuple([self._key(part, tensors) for part in value])
        if kind is dict:
            return kind, tuple([(k, self._key(part, tensors)) for k, part in value.items()])
        if kind is slice:
            return kind, self._key((value.start, value.stop, value.step), tensors)
        if getattr(kind, "is_open", False):
            raise OpenArgumentError
        return kind, value


def _signature(tensor: Tensor) -> Hashable:
    return tensor.shape, tensor.stride(), tensor.dtype


_UNTAGGED = (torch.ops.aten.hardswish.default,)
"""Pointwise operators that PyTorch 2.13 does not tag as such."""


def is_pointwise(func: Any) -> bool:
    """Whether each element of an operator's result hangs on the same place of its inputs alone."""
    return torch.Tag.pointwise in getattr(func, "tags", ()) or func in _UNTAGGED


_BATCH_NORM = torch.ops.aten.native_batch_norm.default
_MEAN, _SUM = torch.ops.aten.mean.dim, torch.ops.aten.sum.dim_IntList


class MacObserver(Observer):  # type: ignore[no-untyped-call]
    """Counts the multiply-accumulates that `torch.utils.flop_counter` has formulas for."""

    def __init__(self, counting: Counting = Counting()) -> None:
        super().__init__(counting)
        self.macs = 0
        self._types: dict[Hashable, torch.dtype] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if isinstance(func, torch._ops.HigherOrderOperator):
            raise UnsupportedError(f"'{func}' is a higher-order operator")
        if not kwargs and is_pointwise(func):
            result = self._pointwise(func, args)
            if result is not None:
                self.count_extra(func, args, {}, result)
                return result
        if func is _BATCH_NORM and not args[5] and args[0].is_contiguous():
            # Its shapes are worked out in Python as well, in 2 milliseconds.
            nothing = args[0].new_empty(0)
            return torch.empty_like(args[0]), nothing, nothing
        if func is _MEAN and not kwargs and args[0].is_floating_point():
            return _SUM(*args)  # Of the same shape, which is not worked out in Python.
        return self.observed(func, args, kwargs or {})

    def _pointwise(self, func: Any, args: Any) -> Tensor | None:
        """The result of an operator that PyTorch tags as pointwise, where it is plain to see.

        PyTorch works shapes of these operators out in Python, which takes a millisecond; of
        contiguous tensors, one of which has the shape of the result, only its type is open.
        """
        if func._overloadpacket in flop_registry or not _fresh(func):
            return None
        tensors = [arg for arg in args if isinstance(arg, Tensor)]
        shape = max((t.shape for t in tensors), key=math.prod, default=())
        if not shape or not all(t.is_contiguous() and _within(t.shape, shape) for t in tensors):
            return None
        key = func, len(shape), tuple(_kind(arg) for arg in args)
        if key not in self._types:
            small = [1] * len(shape)
            few = [arg.new_empty(small) if isinstance(arg, Tensor) else arg for arg in args]
            self._types[key] = func(*few).dtype
        return torch.empty(shape, dtype=self._types[key], device=tensors[0].device)

    def ran(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Count one operator."""
        formula: Any = flop_registry.get(func._overloadpacket)
        if formula is None:
            return
        inner = getattr(formula, "__wrapped__", None)
        if inner is None or kwargs or not isinstance(result, Tensor):
            flops = formula(*args, out_val=result, **kwargs)
        else:  # What the wrapper does for flat arguments, without its walk over trees.
            shapes = [arg.shape if isinstance(arg, Tensor) else arg for arg in args]
            flops = inner(*shapes, out_shape=result.shape)
        self.macs += flops // 2


@cache
def _fresh(func: Any) -> bool:
    """Whether an operator returns one new tensor."""
    schema = func._schema
    return (
        not schema.is_mutable
        and len(schema.returns) == 1
        and str(schema.returns[0].type) == "Tensor"
        and schema.returns[0].alias_info is None
    )


def _within(shape: torch.Size, wider: torch.Size) -> bool:
    """Whether a tensor of `shape` broadcasts to `wider`, with as many dimensions."""
    return shape == wider or (
        len(shape) == len(wider)
        and all(size in (1, whole) for size, whole in zip(shape, wider, strict=True))
    )


def _kind(value: Any) -> Hashable:
    return value.dtype if isinstance(value, Tensor) else (type(value), str(value))
