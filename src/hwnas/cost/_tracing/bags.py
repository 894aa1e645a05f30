"""Which operators run, how often: in all networks of a template, or in one, without data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from hwnas.cost._counting import Counting
from hwnas.cost._tables.domain import Domain
from hwnas.cost._tables.varying import Axes
from hwnas.cost._tracing.interpreter import Event, Interpreter
from hwnas.cost._tracing.kernels import Count, Kernels, MacObserver, is_pointwise

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operator:
    """An operator as it is called: the same shapes and settings take the same time.

    Attributes:
        name: PyTorch's, such as `convolution`; of those that are made of others, these, except
            `linear`.
        given: shapes of the tensors that it is given, weights included, in order.
        settings: the other positional arguments, such as strides; None where one has no hash.
        made: shapes of its results.
        macs: multiply-accumulates.
        pointwise: whether each element of the result hangs on the same place of the inputs alone.
    """

    name: str
    given: tuple[Shape, ...]
    settings: tuple[Hashable, ...]
    made: tuple[Shape, ...]
    macs: int
    pointwise: bool


class Bag:
    """How often operators run; does not change. Adds to 0, too."""

    __slots__ = ("counts",)

    def __init__(self, operators: Iterable[Operator] = ()) -> None:
        self.counts = Counter(operators)

    def __add__(self, other: Bag | int) -> Bag:
        result = Bag()
        result.counts = self.counts + (Counter() if isinstance(other, int) else other.counts)
        return result

    __radd__ = __add__

    def __bool__(self) -> bool:
        return bool(self.counts)


class BagObserver(MacObserver):  # type: ignore[no-untyped-call]
    """Lists the operators that ran."""

    def __init__(self, counting: Counting = Counting()) -> None:
        super().__init__(counting)
        self.ran_since: list[Operator] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inside, macs, count = self._inside, self.macs, len(self.ran_since)
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if not inside and len(self.ran_since) == count and not _free(func):
            operator = _operator(func, args, kwargs or {}, result, self.macs - macs)
            if operator.given:  # What takes no tensor makes a constant.
                self.ran_since.append(operator)
        return result

    def taken(self, start: int) -> list[Operator]:
        """The operators from place `start` on, which are on the list no more."""
        operators = self.ran_since[start:]
        del self.ran_since[start:]
        return operators


def _free(func: Any) -> bool:
    """Whether a call computes nothing: views, and what asks for memory."""
    if not isinstance(func, torch._ops.OpOverload):
        return True
    name = func._overloadpacket.__name__
    if name in ("detach", "empty", "empty_like", "new_empty", "lift_fresh"):
        return True
    returns = func._schema.returns
    aliases = [one.alias_info for one in returns]
    return not returns or all(info is not None and not info.is_write for info in aliases)


def _operator(func: Any, args: Any, kwargs: Any, result: Any, macs: int) -> Operator:
    leaves = tree_leaves((args, kwargs))
    return Operator(
        func._overloadpacket.__name__.removesuffix("_"),
        tuple(tuple(x.shape) for x in leaves if isinstance(x, Tensor)),
        tuple(x for x in leaves if isinstance(x, bool | int | float | str)),
        tuple(tuple(x.shape) for x in tree_leaves(result) if isinstance(x, Tensor) and x.numel()),
        macs,
        is_pointwise(func),
    )


class BagKernels(Kernels):
    """Kernels that tell which operators each different call runs: the `extra` of a count."""

    _observer: BagObserver

    def __init__(self, open_call: Any, counting: Counting) -> None:
        super().__init__(open_call, counting)
        self._observer = BagObserver(counting)

    @contextmanager
    def collecting(self) -> Iterator[Count]:
        """See `Kernels`."""
        outer, self.sink = self.sink, Count()
        start = len(self._observer.ran_since)
        try:
            yield self.sink
        finally:
            # What was run as a function has been taken off the list.
            count, self.sink = self.sink, outer
            count.add(_counted(self._observer.taken(start)))

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Count]:
        start = len(self._observer.ran_since)
        result = func(*args, **kwargs)
        return result, _counted(self._observer.taken(start))


def _counted(operators: list[Operator]) -> Count:
    count = Count()
    if operators:
        count.extra = Bag(operators)  # type: ignore[assignment]
    return count


class BagInterpreter(Interpreter):
    """Its events have the place of a bag in `bags`, twice; the first bag is empty."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain, kernels=BagKernels)
        self.bags: list[Any] = [Bag()]

    def add(self, count: Count) -> None:
        """See `Interpreter`."""
        self._count((), np.ones((), bool), np.zeros(1, np.int64), [count])

    def _count(self, axes: Axes, mask: Any, number: Any, counts: list[Count]) -> None:
        if not any(count.extra for count in counts):
            return
        start = len(self.bags)
        self.bags += [count.extra or self.bags[0] for count in counts]
        table = np.zeros(mask.shape, np.int64)
        table[mask] = start + number
        self.events.append(Event(axes, table, table, self.guards))
