"""The operators of all networks of a space, and sums over them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hwnas.cost._space_costs import nothing, uncollected
from hwnas.cost._tables.cells import places
from hwnas.cost._tables.domain import Domain, Guards, TooLargeError
from hwnas.cost._tables.varying import Axes, spread, union
from hwnas.cost._tracing.bags import BagInterpreter, BagObserver, Operator
from hwnas.cost._tracing.inputs import Inputs, arguments_of
from hwnas.cost._tracing.interpreter import Event, ForwardError
from hwnas.cost._tracing.kernels import UnsupportedError
from hwnas.cost._tracing.trace import observed, plain_kernels
from hwnas.cost._tracing.twin import twin
from hwnas.errors import CostError
from hwnas.space import ModelSpace, SearchSpace


def operators_of(model: nn.Module, inputs: Inputs) -> dict[Operator, int]:
    """The operators that one forward of `model` runs, and how often each; see `static_costs`.

    Raises:
        CostError: the forward fails.
    """
    try:
        (observer,) = observed(model, inputs, lambda *_: (BagObserver(),))
    except UnsupportedError as error:
        raise CostError(f"{type(model).__name__}: {error}") from error
    return dict(Counter(observer.ran_since))


class OperatorTables:
    """The operators of every network of a space, by the decisions that each hangs on.

    Of the forward of the template, run once on tensors without data, as for `cost_tables`. Of an
    arch they are those of `operators_of(space.build(arch), inputs)`.

    Attributes:
        operators: all that some network runs.

    Raises:
        CostError: the space has no template, or its forward cannot be followed; the message says
            why.
    """

    def __init__(self, space: SearchSpace, inputs: Inputs) -> None:
        if not isinstance(space, ModelSpace):
            raise CostError("the space has no template, only a function that builds")
        self.space = space
        self._domain = Domain(space.decisions)
        name = type(space.template).__name__
        try:
            with uncollected():
                interpreter = _interpreted(space, inputs, self._domain)
        except (UnsupportedError, TooLargeError, ForwardError) as error:
            raise CostError(f"{name} cannot be followed: {error}") from error
        self._events: list[Event] = interpreter.events
        self._bags = interpreter.bags
        self.operators = tuple(dict.fromkeys(one for bag in self._bags for one in bag.counts))

    def sums(self, amounts: NDArray[np.float64]) -> OperatorSums:
        """Amounts added up over the operators of an arch.

        Args:
            amounts: (operators, columns): what each of `operators` adds.

        Raises:
            CostError: an operator hangs on too many decisions at once.
        """
        place = {operator: i for i, operator in enumerate(self.operators)}
        bags = np.zeros((len(self._bags), amounts.shape[1]))
        for row, bag in zip(bags, self._bags, strict=True):
            for operator, count in bag.counts.items():
                row += count * amounts[place[operator]]
        grouped: dict[tuple[Axes, Guards], NDArray[np.float64]] = {}
        for event in self._events:
            key = event.axes, event.guards
            grouped[key] = grouped.get(key, 0.0) + bags[event.first]
        tables: dict[Axes, NDArray[np.float64]] = {}
        try:
            for (axes, guards), table in grouped.items():
                wider = union([axes, *(guard.axes for guard in guards)])
                own = spread_rows(table, axes, wider)
                held = np.ones(self._domain.shape(wider), bool)
                for guard in guards:
                    held = held & spread(guard.mask, guard.axes, wider)
                tables[wider] = tables.get(wider, 0.0) + own * held[..., None]
        except TooLargeError as error:
            raise CostError(f"an operator hangs on too many decisions: {error}") from error
        return OperatorSums(self._domain, tables, amounts.shape[1])


class OperatorSums:
    """Sums over the operators of archs; made by `OperatorTables.sums`."""

    def __init__(
        self, domain: Domain, tables: dict[Axes, NDArray[np.float64]], columns: int
    ) -> None:
        self._domain = domain
        self._tables = tables
        self._columns = columns

    def evaluate(self, encoded: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sums for archs encoded by `space.encode`: (n, decisions) -> (n, columns).

        Which decisions are taken is not checked.

        Raises:
            ArchError: the encoding has a wrong shape, or a place that no choice has.
        """
        found = np.zeros((len(encoded), self._columns))
        for rows, codes in places(self._domain, encoded):
            total = found[rows]
            for axes, table in self._tables.items():
                flat = np.zeros(codes.shape[1], np.int64)
                for axis in axes:
                    flat = flat * self._domain.sizes[axis] + codes[axis]
                total += table.reshape(-1, self._columns)[flat]
        return found


def spread_rows(table: NDArray[Any], axes: Axes, wider: Axes) -> NDArray[Any]:
    """As `spread`, for tables with a row in each cell."""
    sizes = dict(zip(axes, table.shape, strict=False))
    return table.reshape([*(sizes.get(axis, 1) for axis in wider), table.shape[-1]])


def _interpreted(space: ModelSpace, inputs: Inputs, domain: Domain) -> BagInterpreter:
    interpreter = BagInterpreter(domain)
    copy = twin(space.template, interpreter)
    arguments = arguments_of(space.template, inputs).each(lambda x: x.to("meta"))
    with plain_kernels(), interpreter.kernels.observing():
        given = arguments.each(interpreter.kernels.interned)
        interpreter.forked(
            type(space.template).__name__, lambda: copy(*given.args, **given.kwargs), nothing
        )
    return interpreter
