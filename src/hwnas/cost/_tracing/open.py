"""Stand-ins for numbers and tensors that depend on decisions, in the user's own forward."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, Protocol

import torch
from torch import Tensor

from hwnas.cost._tables.varying import Varying
from hwnas.space import Expr


class Calls(Protocol):
    """Who runs functions of stand-ins, and decides what to do where one value is needed."""

    def function(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The stand-in (or the plain value) for a torch function of stand-ins."""

    def plain(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """The same for a function of numbers."""

    def settled(self, varying: Varying) -> Any:
        """The one value that it has here; where there are more, the caller is run for each."""


class OpenValue:
    """A number, or another plain value, that depends on decisions."""

    is_open = True
    __slots__ = ("calls", "varying")

    def __init__(self, varying: Varying, calls: Calls) -> None:
        self.varying = varying
        self.calls = calls

    @property
    def one(self) -> Any:
        """The value, where there is just one."""
        return self.calls.settled(self.varying)

    def __bool__(self) -> bool:
        return bool(self.one)

    def __index__(self) -> int:
        return operator.index(self.one)

    def __int__(self) -> int:
        return int(self.one)

    def __float__(self) -> float:
        return float(self.one)

    def __str__(self) -> str:
        return str(self.one)

    def __hash__(self) -> int:
        return hash(self.one)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.one)

    def __len__(self) -> int:
        return len(self.one)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.one, name)


_ARITHMETIC = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"]
_COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]


def _number_operator(name: str, function: Callable[..., Any]) -> None:
    def forward(self: OpenValue, other: Any) -> Any:
        return (
            NotImplemented
            if isinstance(other, Tensor)
            else self.calls.plain(function, (self, other))
        )

    def backward(self: OpenValue, other: Any) -> Any:
        return (
            NotImplemented
            if isinstance(other, Tensor)
            else self.calls.plain(function, (other, self))
        )

    setattr(OpenValue, f"__{name}__", forward)
    if name in _ARITHMETIC:
        setattr(OpenValue, f"__r{name}__", backward)


for _name in _ARITHMETIC + _COMPARISONS:
    _number_operator(_name, getattr(operator, f"__{_name}__"))
for _name, _function in {
    "neg": operator.neg,
    "pos": operator.pos,
    "abs": abs,
    "round": round,
    "floor": math.floor,
    "ceil": math.ceil,
}.items():

    def _unary(self: OpenValue, *args: Any, function: Any = _function) -> Any:
        return self.calls.plain(function, (self, *args))

    setattr(OpenValue, f"__{_name}__", _unary)


class OpenTensor(Tensor):
    """A tensor whose shape depends on decisions."""

    is_open = True
    varying: Varying
    calls: Calls

    @staticmethod
    def of(varying: Varying, calls: Calls) -> OpenTensor:
        """The stand-in for one of several tensors without data."""
        with torch._C.DisableTorchFunction():
            tensor = Tensor._make_subclass(OpenTensor, _base())
        own = object.__getattribute__(tensor, "__dict__")
        own["varying"], own["calls"] = varying, calls
        result: OpenTensor = tensor
        return result

    def __getattribute__(self, name: str) -> Any:
        if name in ("varying", "calls") or (name[:2] == "__" and name != "__setitem__"):
            return object.__getattribute__(self, name)
        calls = object.__getattribute__(self, "calls")
        method = _method(name)
        if method is None:
            return calls.function(_reader(name), (self,), {})
        return partial(_called, calls, method, self)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        return iter(self.unbind(0))

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OpenTensor({', '.join(str(tuple(v.shape)) for v in self.varying.values)})"


def _tensor_operator(name: str) -> None:
    method = getattr(Tensor, name)

    def call(self: OpenTensor, *args: Any) -> Any:
        return self.calls.function(method, (self, *args), {})

    setattr(OpenTensor, name, call)


for _name in (
    *_ARITHMETIC,
    *(f"r{n}" for n in _ARITHMETIC),
    *("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "matmul", "rmatmul"),
    *(*_COMPARISONS, "neg", "pos", "abs", "invert", "getitem", "setitem"),
):
    if hasattr(Tensor, f"__{_name}__"):
        _tensor_operator(f"__{_name}__")
OpenTensor.__hash__ = object.__hash__  # type: ignore[method-assign]


@cache
def _base() -> Tensor:
    return torch.empty(0, device="meta")


@cache
def _method(name: str) -> Any:
    attribute = getattr(Tensor, name, None)
    return attribute if callable(attribute) else None


@cache
def _reader(name: str) -> Any:
    return operator.attrgetter(name)


def _called(calls: Calls, method: Any, *args: Any, **kwargs: Any) -> Any:
    return calls.function(method, args, kwargs)


def has_open(value: Any) -> bool:
    """Whether a stand-in or a formula is in `value`, looking into tuples, lists, dicts, slices."""
    kind = type(value)
    if getattr(kind, "is_open", False) or isinstance(value, Expr):
        return True
    if kind is slice:
        return has_open((value.start, value.stop, value.step))
    if isinstance(value, tuple | list):
        return any(map(has_open, value))
    if isinstance(value, dict):
        return any(map(has_open, value.values()))
    return False


def split_open(value: Any, found: list[Any]) -> Callable[[list[Any]], Any]:
    """Put the stand-ins and formulas of `value` into `found`.

    Returns:
        what makes `value` again, given plain values in their place.
    """
    kind = type(value)
    if getattr(kind, "is_open", False) or isinstance(value, Expr):
        place = len(found)
        found.append(value)
        return lambda plain: plain[place]
    if has_open(value):
        if kind is slice:
            part = split_open((value.start, value.stop, value.step), found)
            return lambda plain: slice(*part(plain))
        if isinstance(value, dict):
            items = {k: split_open(v, found) for k, v in value.items()}
            return lambda plain: {k: make(plain) for k, make in items.items()}
        parts = [split_open(v, found) for v in value]
        return lambda plain: kind([make(plain) for make in parts])
    return lambda plain: value
