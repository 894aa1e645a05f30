"""What `space`, `sample` and `cost` are about: a space, its costs, and a budget on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hwnas.cli._shape import parse_shape
from hwnas.errors import UsageError

if TYPE_CHECKING:
    from hwnas.budget import Budget
    from hwnas.cost import Cost, Counting
    from hwnas.space import Arch, SearchSpace

_SHAPELESS = ("params", "weight_bytes")
_PEAK = "peak_activation_bytes"
_USUAL = ("macs", "flops", "params", "weight_bytes")


@dataclass(frozen=True)
class Subject:
    """A space with the costs that can be computed without a device, and a budget on them."""

    reference: str
    space: SearchSpace
    input_shape: tuple[int, ...] | None
    costs: Mapping[str, Cost]
    budget: Budget
    flops: str
    """What `flops` counts."""

    def costs_of(self, archs: Sequence[Arch]) -> list[dict[str, float]]:
        """All costs of each arch; whole numbers as integers."""
        encoded = self.space.encode(archs)
        columns = {name: cost.evaluate(encoded).tolist() for name, cost in self.costs.items()}
        return [
            {name: plain(column[row]) for name, column in columns.items()}
            for row in range(len(archs))
        ]

    def without_slow(self) -> Subject:
        """The same without the peak of activations, where each arch has to be traced for it."""
        from hwnas.cost import TracedCost

        slow = isinstance(self.costs.get(_PEAK), TracedCost)
        kept = {n: cost for n, cost in self.costs.items() if not (slow and n == _PEAK)}
        return replace(self, costs=kept)

    def with_costs(self, archs: Sequence[Arch]) -> list[tuple[Arch, dict[str, float]]]:
        """Each arch with all of its costs."""
        return list(zip(archs, self.costs_of(archs), strict=True))


def plain(value: float) -> float:
    """The same, as an integer where it is one."""
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def space_and_shape(
    reference: str, task: str | None, input_shape: str | None
) -> tuple[SearchSpace, tuple[int, ...] | None]:
    """The space, and the shape of one input where task or shape is given."""
    from hwnas.zoo import load_space

    shape, classes = shape_and_classes(task, input_shape)
    return load_space(reference, shape, classes), shape


def shape_and_classes(
    task: str | None, input_shape: str | None
) -> tuple[tuple[int, ...] | None, int | None]:
    """The shape of one input where task or shape is given, and the classes where a task is."""
    from hwnas.tasks import task_from_spec

    data = task_from_spec(task) if task else None
    shape = parse_shape(input_shape) if input_shape else tuple(data.input_shape) if data else None
    return shape, data.num_classes if data else None


def load_subject(
    reference: str,
    *,
    task: str | None,
    input_shape: str | None,
    counting: Counting,
    costs: Sequence[str] | None,
    budget: str = "",
    metrics: Sequence[str] = (),
) -> Subject:
    """The objects that the options name.

    Args:
        metrics: static costs to compute beside the usual and the limited ones.

    Raises:
        HwnasError: there is no such space, task, shape or cost, or the budget limits what has to
            be measured.
    """
    from hwnas.budget import Budget
    from hwnas.cost import STATIC_METRICS, cost_tables, flops_meaning, load_costs

    space, shape = space_and_shape(reference, task, input_shape)
    inputs = (1, *shape) if shape else ()
    own = load_costs(costs or [], space, inputs)
    limits = Budget.parse(budget, metrics=own) if budget else Budget()
    for constraint in limits:
        if constraint.key not in own:
            _check(constraint.key, shape)
    named = {*_USUAL, *metrics, *(constraint.key for constraint in limits)}
    possible = STATIC_METRICS if shape else _SHAPELESS
    wanted = [name for name in possible if name in named]
    static = cost_tables(space, inputs, wanted, counting=counting)
    return Subject(reference, space, shape, {**static, **own}, limits, flops_meaning(counting))


def _check(key: str, shape: tuple[int, ...] | None) -> None:
    from hwnas.cost import STATIC_METRICS

    if key not in STATIC_METRICS:
        raise UsageError(
            f"'{key}' has to be measured, which only a search does; or give a cost of that name: "
            f"--cost {key}=REFERENCE"
        )
    if shape is None and key not in _SHAPELESS:
        raise UsageError(f"'{key}' depends on the input: give --task or --input-shape C,H,W")
