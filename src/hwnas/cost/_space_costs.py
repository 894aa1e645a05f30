"""The static costs of all archs of a space."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import nn

from hwnas.cost._base import Cost
from hwnas.cost._counting import Counting
from hwnas.cost._static import STATIC_METRICS, SUMS, static_costs
from hwnas.cost._tables.assembly import assembled
from hwnas.cost._tables.domain import Domain, TooLargeError
from hwnas.cost._tables.max_table import MaxTable
from hwnas.cost._tables.table import CostTable
from hwnas.cost._tables.varying import Varying, constant
from hwnas.cost._tracing.holding import HoldingInterpreter
from hwnas.cost._tracing.inputs import Inputs, arguments_of
from hwnas.cost._tracing.interpreter import Event, ForwardError, Interpreter
from hwnas.cost._tracing.kernels import UnsupportedError
from hwnas.cost._tracing.leaves import LeafCost, Leaves
from hwnas.cost._tracing.ledger import peak_parts
from hwnas.cost._tracing.parameters import parameter_events
from hwnas.cost._tracing.trace import plain_kernels
from hwnas.cost._tracing.twin import twin
from hwnas.errors import CostError, describe
from hwnas.space import ModelSpace, SearchSpace

if TYPE_CHECKING:
    from hwnas.space import Value

LeafCosts: TypeAlias = Mapping[type[nn.Module], LeafCost] | None

_TRACES = 64
_PEAK = "peak_activation_bytes"
_tracing = threading.Lock()  # `static_costs` sets switches of the process while it runs.


def cost_tables(
    space: SearchSpace,
    inputs: Inputs = (),
    metrics: Iterable[str] | None = None,
    *,
    counting: Counting = Counting(),
    leaf_costs: LeafCosts = None,
) -> dict[str, Cost]:
    """The static costs of every arch of `space`, as tables wherever that can be.

    Each value is that of `static_costs(space.build(arch), inputs)`, to the last unit. Of a
    `ModelSpace`, the forward of the template runs once on tensors without data, each different
    operator and shape once; the results are `CostTable`s, and for `peak_activation_bytes`, which
    is computed if it is named, a `MaxTable`: the most over all calls of the bytes that are held
    then. A space without a template, or whose forward cannot be followed this way, gives
    `TracedCost`s, whose `reason` says why; if it has few archs, they are all traced and the
    result is a table again. `space` is not changed.

    Args:
        inputs, metrics, counting: as for `static_costs`.
        leaf_costs: the same. Sizes that a function is given may stand for several, by the
            decisions; it may calculate with them, and where it asks for one (`int(size)`, an `if`)
            it is called for each.

    Returns:
        metric -> cost.

    Raises:
        CostError: as `static_costs`; the forward fails for some arch.
    """
    wanted = SUMS if metrics is None else tuple(metrics)
    if unknown := [name for name in wanted if name not in STATIC_METRICS]:
        raise CostError(
            f"'{unknown[0]}' is not a static cost; the static costs are {', '.join(STATIC_METRICS)}"
        )
    found: dict[str, Cost] = {}
    reasons: dict[str, str] = {}
    sums = [name for name in wanted if name in SUMS]
    if isinstance(space, ModelSpace):
        makers: dict[tuple[str, ...], Callable[[], Mapping[str, Cost]]] = {}
        if sums:
            makers[tuple(sums)] = partial(_tables, space, inputs, sums, counting, leaf_costs)
        if _PEAK in wanted:
            makers[_PEAK,] = partial(_peak, space, inputs)
        for names, make in makers.items():
            try:
                with uncollected():
                    found |= make()
            except (UnsupportedError, TooLargeError, ForwardError) as error:
                reasons |= dict.fromkeys(names, str(error))
                model = space.build(space.default())
                static_costs(model, inputs, names, leaf_costs=leaf_costs)  # Its error says more.
    left = [name for name in wanted if name not in found]
    traces = _Traces(space, inputs, left, counting, leaf_costs)
    for name in wanted:
        if name not in found:
            reason = reasons.get(name, "the space has no template, only a function that builds")
            cost = TracedCost(name, space, traces, reason)
            found[name] = _tried(cost) if space.size() <= _TRACES else cost
    return {name: found[name] for name in wanted}


def _tried(cost: TracedCost) -> Cost:
    try:
        return cost.tabulated()
    except CostError:  # Some archs have no cost; the others are told one by one.
        return cost


class TracedCost(Cost):
    """A static cost whose archs are built and traced one by one, and remembered.

    Attributes:
        reason: why there is no table.
    """

    exact = True

    def __init__(self, name: str, space: SearchSpace, traces: _Traces, reason: str) -> None:
        self.name = name
        self.space = space
        self.reason = reason
        self._traces = traces

    def __call__(self, arch: Mapping[str, Value]) -> float:
        """See `Cost`."""
        return self._traces.costs(arch)[self.name]

    def tabulated(self) -> CostTable:
        """The same as one table over all decisions, every arch traced.

        Raises:
            CostError: the table would be too large.
        """
        domain = Domain(self.space.decisions)
        axes = tuple(range(len(domain.sizes)))
        try:
            table = np.zeros(domain.shape(axes))
        except TooLargeError as error:
            raise CostError(f"too many archs to try them all: {error}") from error
        archs = list(self.space.enumerate())
        for arch, code in zip(archs, self.space.encode(archs).astype(int), strict=True):
            table[tuple(code)] = self(arch)
        return CostTable(self.name, self.space, {axes: table}, exact=True, domain=domain)


class _Traces:
    """The costs of the archs traced last, for all metrics at once."""

    def __init__(
        self,
        space: SearchSpace,
        inputs: Inputs,
        metrics: Sequence[str],
        counting: Counting,
        leaf_costs: LeafCosts,
    ) -> None:
        self._space = space
        self._costs_of = partial(
            static_costs, inputs=inputs, metrics=metrics, counting=counting, leaf_costs=leaf_costs
        )
        self._known: OrderedDict[tuple[float, ...], dict[str, float]] = OrderedDict()

    def costs(self, arch: Mapping[str, Value]) -> dict[str, float]:
        self._space.validate(arch)
        key = tuple(self._space.encode([arch])[0].tolist())
        costs = self._known.get(key)
        if costs is None:
            try:
                model = self._space.build(arch)
            except Exception as error:  # the user's code may raise anything
                raise CostError(
                    f"the network of {dict(arch)} cannot be built: {describe(error)}"
                ) from error
            with _tracing:
                costs = self._costs_of(model)
                self._known[key] = costs
                if len(self._known) > 100_000:
                    self._known.popitem(last=False)
        return costs


def _tables(
    space: ModelSpace,
    inputs: Inputs,
    metrics: Sequence[str],
    counting: Counting,
    leaf_costs: LeafCosts,
) -> dict[str, CostTable]:
    leaves = Leaves(leaf_costs, counting.per_mac)
    interpreter = Interpreter(Domain(space.decisions), counting, leaves)
    kernels = interpreter.kernels
    with torch.inference_mode():
        held = parameter_events(space.template, interpreter)
    ran: list[Event] = []
    if "macs" in metrics or "flops" in metrics:
        copy = twin(space.template, interpreter)
        arguments = arguments_of(space.template, inputs)
        with plain_kernels(), kernels.observing():
            given = arguments.each(lambda x: kernels.interned(x.to("meta")))
            interpreter.forked(
                type(space.template).__name__, lambda: copy(*given.args, **given.kwargs), nothing
            )
        ran = interpreter.events
    domain = Domain(space.decisions)  # Without what the interpreter has kept.
    sums = {
        "params": (held, lambda event: event.first),
        "weight_bytes": (held, lambda event: event.second),
        "macs": (ran, lambda event: event.first),
        "flops": (ran, lambda event: counting.per_mac * event.first + event.second),
    }
    return {
        name: CostTable(name, space, assembled(domain, *sums[name]), exact=True, domain=domain)
        for name in metrics
    }


def _peak(space: ModelSpace, inputs: Inputs) -> dict[str, MaxTable]:
    interpreter = HoldingInterpreter(Domain(space.decisions))
    copy = twin(space.template, interpreter)
    arguments = arguments_of(space.template, inputs)
    with plain_kernels(), interpreter.kernels.observing():
        given = arguments.each(interpreter.given)
        interpreter.forked(
            type(space.template).__name__, lambda: copy(*given.args, **given.kwargs), nothing
        )
    domain = Domain(space.decisions)
    parts = peak_parts(domain, interpreter.events)
    return {_PEAK: MaxTable(_PEAK, space, parts, exact=True, domain=domain)}


@contextmanager
def uncollected() -> Iterator[None]:
    """No passes of the garbage collector, which go over all of PyTorch and take 0.1 s and more.

    What is made inside is in use until the end.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def nothing() -> Varying:
    return constant(None)
