"""The forward of a template run once for all archs: which bytes are made, and held how long.

Every tensor in the hands of the user's code is a stand-in with a `Token`, which says in the
interpreter's events when Python lets go of it. The functions inside a call hold what they hold in
a real run, on tensors without data; only the most that they held at once is kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._device import _device_constructors
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from hwnas.cost._counting import Counting
from hwnas.cost._tables.domain import Domain, Guard, Guards, TooLargeError, gathered
from hwnas.cost._tables.varying import Axes, Varying, typed
from hwnas.cost._tracing.interpreter import Interpreter, tuples
from hwnas.cost._tracing.kernels import Kernels, UnsupportedError
from hwnas.cost._tracing.liveness import Liveness, tensors_in
from hwnas.cost._tracing.open import OpenTensor, OpenValue, split_open

_CELLS = 1 << 16
"""The largest table of one call's bytes: many of them are added up at each moment."""

Scope: TypeAlias = tuple[int, ...]
"""The branches that the forward is in, each with a number of its own, from the outermost."""


@dataclass(frozen=True, eq=False)
class Made:
    """A storage: its bytes by the decisions `axes`, zero where it is not made; under guards."""

    axes: Axes
    size: NDArray[np.int64]
    guards: Guards


Sources: TypeAlias = list[tuple["Made | int", "Guard | None"]]
"""Storages, or those of a stand-in by its token, with the cells where they are meant."""


@dataclass(frozen=True, eq=False)
class Ran:
    """A call held up to `extra` bytes beyond its arguments, by `axes`, where all guards hold."""

    axes: Axes
    extra: NDArray[np.int64]
    guards: Guards
    scope: Scope


@dataclass(frozen=True, eq=False)
class Held:
    """From here on a stand-in keeps storages, or those of another stand-in, where a guard holds."""

    token: int
    sources: Sources
    scope: Scope


@dataclass(frozen=True, eq=False)
class Dropped:
    """Python has let go of a stand-in."""

    token: int


class Token:
    """The life of one stand-in."""

    __slots__ = ("_events", "number")
    _numbers = itertools.count()

    def __init__(self, events: list[Any]) -> None:
        self.number = next(Token._numbers)
        self._events = events

    def __del__(self) -> None:
        self._events.append(Dropped(self.number))


@dataclass(frozen=True)
class Trace:
    """What one call holds.

    Attributes:
        extra: the most bytes at once beyond its arguments.
        sizes: bytes of the new storages that its results lie in.
        leaves: for each leaf of the result, the number of its new storage, or -1 - j for that of
            the j-th tensor among the arguments, or None.
    """

    extra: int
    sizes: tuple[int, ...]
    leaves: tuple[int | None, ...]


class HoldingKernels(Kernels):
    """Kernels that tell what each different call holds, a `Trace`, in place of a count."""

    def __init__(self, open_call: Any, counting: Counting) -> None:
        super().__init__(open_call, counting)
        self._liveness = self._observer = Liveness()
        self._inside = False
        self._doubles: dict[tuple[int, int], Tensor] = {}

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Run functions as they are, and make tensors on the meta device."""
        self._inside = True
        try:
            yield
        finally:
            self._inside = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if self._building or getattr(func, "__module__", None) == "torch.nn.init":
            return super().__torch_function__(func, types, args, kwargs)
        kwargs = kwargs or {}
        if self._inside:
            if func in _device_constructors() and kwargs.get("device") is None:
                kwargs = {**kwargs, "device": "meta"}
            return func(*args, **kwargs)
        if getattr(func, "__name__", "") == "__get__":
            return func(*args, **kwargs)
        return self._open_call(func, args, kwargs)

    def double(self, tensor: Tensor, number: int) -> Tensor:
        """Another tensor like `tensor`, the same one for each number; number 0 is itself."""
        if number == 0:
            return tensor
        key = id(tensor), number
        if key not in self._doubles:
            with torch._C.DisableTorchFunction():
                double = self._doubles[key] = _again(tensor)
            self._codes[id(double)] = -len(self._doubles)
        return self._doubles[key]

    def traced(self, run: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Trace]:
        """The result of `run`, and what it held; see `Trace`."""
        given = list(tensors_in((args, kwargs)))
        # Tensors are kept for other calls; those that this one is given have their own storages.
        anew = {id(tensor): _again(tensor) for tensor in given}
        fresh = [anew[id(tensor)] for tensor in given]
        args, kwargs = _with(iter(fresh), (args, kwargs))
        live = self._liveness
        live.hold(fresh)
        before = live.peak = live.live
        result = run(*args, **kwargs)
        extra = live.peak - before
        if [(t.shape, t.stride()) for t in fresh] != [(t.shape, t.stride()) for t in given]:
            name = getattr(run, "__name__", repr(run))
            raise UnsupportedError(f"'{name}' changes the shape of a tensor in place")
        owners: dict[int, int] = {}
        for j, tensor in enumerate(fresh):
            owners.setdefault(tensor.untyped_storage()._cdata, -1 - j)
        sizes: list[int] = []
        leaves: list[int | None] = []
        for leaf in tree_flatten(tuples(result))[0]:
            place = None
            for tensor in tensors_in(leaf):
                storage = tensor.untyped_storage()
                if storage._cdata not in owners and live.holds(storage):
                    owners[storage._cdata] = len(sizes)
                    sizes.append(storage.nbytes())
                place = owners.get(storage._cdata)
            leaves.append(place)
        return result, Trace(extra, tuple(sizes), tuple(leaves))

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.traced(func, args, kwargs)


class HoldingInterpreter(Interpreter):
    """Runs modules under guards; its events are `Ran`, `Held` and `Dropped`."""

    kernels: HoldingKernels

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain, kernels=HoldingKernels)
        self._scope: Scope = ()
        self._scopes = itertools.count()

    @contextmanager
    def under(self, guard: Guard) -> Iterator[bool]:
        """See `Interpreter`."""
        outer, before = self._scope, self.guards
        with super().under(guard) as somewhere:
            if self.guards is not before:
                self._scope = (*outer, next(self._scopes))
            try:
                yield somewhere
            finally:
                self._scope = outer

    def given(self, example: Tensor) -> Any:
        """An input of the network."""
        with torch._C.DisableTorchFunction():
            tensor = self.kernels.interned(example.to("meta"))
            size = np.array(tensor.untyped_storage().nbytes())
        made = Made((), size, ())
        result = self._holding(Varying((), np.zeros((), np.int64), (tensor,)), [(made, None)])
        self.events.append(Ran((), np.zeros((), np.int64), (), ()))
        return result

    def narrowed(self, value: Any, guard: Guard) -> Any:
        """See `Interpreter`."""

        def narrow(tensor: OpenTensor) -> Any:
            token = _token(tensor)
            sources: Sources = [] if token is None else [(token, guard)]
            return self._holding(tensor.varying, sources)

        return tree_map_only(OpenTensor, narrow, value)

    def alike(self, values: list[Any]) -> bool:
        """See `Interpreter`."""
        shapes = [self.varying(value).values for value in values]
        return all(len(shape) == 1 and shape[0] is shapes[0][0] for shape in shapes)

    def _holding(self, varying: Varying, sources: Sources) -> Any:
        if not sources:
            return self.opened(varying)
        with torch._C.DisableTorchFunction():
            tensor = OpenTensor.of(varying, self)
        token = Token(self.events)
        object.__getattribute__(tensor, "__dict__")["token"] = token
        self.events.append(Held(token.number, sources, self._scope))
        return tensor

    def _run_whole(self, run: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
        with self.kernels.inside():
            return self.kernels.traced(run, args, kwargs)

    def _whole_call(self, call: Any, args: Any, kwargs: Any) -> Any:
        found: list[Any] = []
        make = split_open((args, kwargs), found)
        values = [self.varying(value) for value in found]
        for value, varying in zip(found, values, strict=True):
            if isinstance(value, OpenValue) and any(isinstance(v, Tensor) for v in varying.values):
                raise UnsupportedError("a value is a tensor or something else by the decisions")
        tokens = [_token(tensor) for tensor in tensors_in((args, kwargs))]
        axes, mask, number, combinations = self.domain.combinations(values, self.guards)
        if mask.size > _CELLS:
            labels = [self.domain.decisions[axis].label for axis in axes]
            raise TooLargeError(labels, mask.size)
        done = [call(*make(self._apart(found, list(values)))) for values in combinations]

        def table(amounts: list[int]) -> NDArray[np.int64]:
            cells = np.zeros(mask.shape, np.int64)
            cells[mask] = np.array(amounts, np.int64)[number]
            return cells

        traces: list[Trace] = [trace for _, trace in done]
        if any(trace.extra for trace in traces):
            extra = table([trace.extra for trace in traces])
            self.events.append(Ran(axes, extra, self.guards, self._scope))
        trees = [tree_flatten(tuples(result)) for result, _ in done]
        if any(spec != trees[0][1] for _, spec in trees):
            self.settled(gathered(axes, mask, number, [str(spec) for _, spec in trees]))
        made = [
            Made(
                axes,
                table([t.sizes[n] if n < len(t.sizes) else 0 for t in traces]),
                self.guards,
            )
            for n in range(max(len(trace.sizes) for trace in traces))
        ]
        leaves = []
        for i, parts in enumerate(zip(*(leaves for leaves, _ in trees), strict=True)):
            places = [trace.leaves[i] for trace in traces]
            sources: Sources = []
            for place in dict.fromkeys(places):
                if place is None:
                    continue
                if place >= 0:
                    sources.append((made[place], None))
                elif (token := tokens[-1 - place]) is not None:
                    here = table([int(p == place) for p in places]) > 0
                    sources.append((token, None if here[mask].all() else Guard(axes, here)))
            if any(isinstance(part, Tensor) for part in parts):
                if not all(isinstance(part, Tensor) for part in parts):
                    raise UnsupportedError("a result is a tensor or something else by decisions")
                leaves.append(self._holding(gathered(axes, mask, number, list(parts), id), sources))
            else:
                leaves.append(self.opened(gathered(axes, mask, number, list(parts), typed)))
        return tree_unflatten(leaves, trees[0][1])

    def _apart(self, found: list[Any], values: list[Any]) -> list[Any]:
        """Different tensors for different stand-ins: a forward may ask whether two are the same."""
        owners: dict[int, list[int]] = {}
        for place, (owner, value) in enumerate(zip(found, values, strict=True)):
            if isinstance(value, Tensor):
                known = owners.setdefault(id(value), [])
                if id(owner) not in known:
                    known.append(id(owner))
                values[place] = self.kernels.double(value, known.index(id(owner)))
        return values

    def _join_leaf(self, axes: Axes, masks: list[NDArray[np.bool_]], parts: list[Any]) -> Any:
        if all(part is parts[0] for part in parts) or not any(
            isinstance(part, Tensor) and _token(part) is not None for part in parts
        ):
            return super()._join_leaf(axes, masks, parts)
        if not all(isinstance(part, Tensor) for part in parts):
            raise UnsupportedError("a result is a tensor or something else by decisions")
        sources: Sources = []
        for part, mask in zip(parts, masks, strict=True):
            if (token := _token(part)) is not None:
                sources.append((token, Guard(axes, mask)))
        return self._holding(self._either(axes, masks, parts), sources)


def _token(tensor: Tensor) -> int | None:
    if not isinstance(tensor, OpenTensor):
        return None
    token = object.__getattribute__(tensor, "__dict__").get("token")
    return None if token is None else token.number


def _again(tensor: Tensor) -> Tensor:
    if not tensor.is_meta:
        return tensor
    return torch.empty_strided(
        tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device
    )


def _with(tensors: Any, value: Any) -> Any:
    """`value` with other tensors in place of its own."""
    if isinstance(value, Tensor):
        return next(tensors)
    if type(value) is tuple or type(value) is list:
        return type(value)(_with(tensors, part) for part in value)
    if isinstance(value, dict):
        return {key: _with(tensors, part) for key, part in value.items()}
    if isinstance(value, slice):
        return slice(*_with(tensors, (value.start, value.stop, value.step)))
    return value
