"""Where in a template its parts are called, and in which variants, by the decisions."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map_only

from hwnas.cost._counting import Counting
from hwnas.cost._profiling.granularity import Part
from hwnas.cost._tables.domain import Domain, Guard, Guards, TooLargeError
from hwnas.cost._tables.varying import constant, typed, union
from hwnas.cost._tracing.alike import Alike
from hwnas.cost._tracing.inputs import Arguments, Inputs, arguments_of
from hwnas.cost._tracing.interpreter import Event, ForwardError, Interpreter
from hwnas.cost._tracing.kernels import UnsupportedError
from hwnas.cost._tracing.open import split_open
from hwnas.cost._tracing.trace import plain_kernels
from hwnas.cost._tracing.twin import formulas, twin
from hwnas.errors import CostError
from hwnas.space import Arch, Expr, ModelSpace

_VARIANTS = 1 << 17


@dataclass(frozen=True, eq=False)
class Call(Event):
    """A call of a part, where all guards hold.

    Attributes:
        first: by the decisions `axes`, one more than the place of the variant; 0 where no arch is.
        part: the part.
        variants: keys that tell different modules and inputs apart. Two that are equal stand for
            the same; two that differ may do so too.
        arguments: for each variant, positional and named ones; tensors are on the meta device.
    """

    part: Part
    variants: tuple[Hashable, ...]
    arguments: tuple[Arguments, ...]

    def place(self, codes: Sequence[int]) -> int | None:
        """The variant of an arch (a place on each axis); None if it does not call the part."""
        if not all(guard.mask[tuple(codes[a] for a in guard.axes)] for guard in self.guards):
            return None
        return int(self.first[tuple(codes[a] for a in self.axes)]) - 1


def calls_of(space: ModelSpace, inputs: Inputs, parts: Sequence[Part]) -> list[Call]:
    """Every call of `parts` in the forward of the template, for all archs at once.

    Raises:
        CostError: the forward cannot be followed; the message says why.
        TooLargeError: a part depends on too many decisions at once.
    """
    interpreter = Interpreter(Domain(space.decisions), Counting())
    alike = _Open()
    watchers = {part.module: partial(_note, interpreter, alike, part) for part in parts}
    copy = twin(space.template, interpreter, watchers)
    arguments = arguments_of(space.template, inputs)
    name = type(space.template).__name__
    try:
        with plain_kernels(), interpreter.kernels.observing():
            given = arguments.each(lambda x: interpreter.kernels.interned(x.to("meta")))
            interpreter.forked(name, lambda: copy(*given.args, **given.kwargs), _nothing)
    except (UnsupportedError, ForwardError) as error:
        raise CostError(f"{name} cannot be cut into parts: {error}") from error
    return [event for event in interpreter.events if isinstance(event, Call)]


def _note(
    interpreter: Interpreter,
    alike: _Open,
    part: Part,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    found: list[Any] = []
    make = split_open((args, kwargs), found)
    shape = alike.key(part.module)
    own = [expr for module in part.module.modules() for expr in formulas(module)]
    given = [*map(interpreter.varying, found), *map(interpreter.domain.formula, own)]
    different = math.prod(len(varying.values) for varying in given)
    axes = union(varying.axes for varying in given)
    if min(different, math.prod(interpreter.domain.shape(axes))) > _VARIANTS:
        labels = [interpreter.domain.decisions[axis].label for axis in axes]
        raise TooLargeError(labels, different)
    axes, mask, number, combinations = interpreter.domain.combinations(given, interpreter.guards)
    called = [make(list(values)) for values in combinations]
    keys = tuple(
        (shape, _signature(one), tuple(map(typed, values[len(found) :])))
        for one, values in zip(called, combinations, strict=True)
    )
    arguments = tuple(Arguments(*tree_map_only(Tensor, _blank, one)) for one in called)
    table = np.zeros(mask.shape, np.int64)
    table[mask] = number + 1
    interpreter.events.append(
        Call(axes, table, np.zeros_like(table), interpreter.guards, part, keys, arguments)
    )


class _Open(Alike):
    """As `Alike`, for modules of a template: formulas are told apart by what they are worth."""

    def _of(self, value: Any) -> Hashable:
        return Expr if isinstance(value, Expr) else super()._of(value)


def _blank(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")


def _signature(arguments: Any) -> Hashable:
    leaves, spec = tree_flatten(arguments)
    return str(spec), tuple(
        (x.shape, x.dtype) if isinstance(x, Tensor) else typed(x) for x in leaves
    )


def _nothing() -> Any:
    return constant(None)


def arch_with(space: ModelSpace, call: Call, place: int, rng: np.random.Generator) -> Arch:
    """Some arch in which `call` has the variant at `place`; what is left open is drawn."""
    domain = Domain(space.decisions)
    cell = np.argwhere(call.first == place + 1)
    for one in cell:
        fixed = dict(zip(call.axes, one.tolist(), strict=True))
        guards: Guards = (*call.guards, *(_at(domain, axis, fixed[axis]) for axis in fixed))
        if all(domain.possible(guard.axes, guards).any() for guard in guards):
            break
    near = domain.closure(union([call.axes, *(guard.axes for guard in call.guards)]))
    for axis in near:
        if axis not in fixed:
            fixed[axis] = int(rng.choice(np.flatnonzero(domain.possible((axis,), guards))))
            guards = (*guards, _at(domain, axis, fixed[axis]))

    def choose(decision: Any) -> Any:
        axis = domain.column[decision.label]
        place = fixed[axis] if axis in fixed else int(rng.integers(len(decision.choices)))
        return decision.choices[place]

    return space.walk(choose)


def _at(domain: Domain, axis: int, place: int) -> Guard:
    return Guard((axis,), np.arange(domain.sizes[axis]) == place)
