"""A whole space on a device: every distinct variant of its parts measured once, and the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from hwnas.cost._latency import LatencyTable
from hwnas.cost._profiling.calls import Call
from hwnas.cost._profiling.variants import Cut, SpaceParts, Variant, built_parts
from hwnas.cost._tables.assembly import assembled
from hwnas.cost._tables.domain import Domain, TooLargeError
from hwnas.cost._tables.table import CostTable
from hwnas.cost._tracing.inputs import Arguments, Inputs
from hwnas.device import Calibration, Device, Measurement, MeasurementStore, Stored
from hwnas.errors import CostError, ModelFault
from hwnas.space import ModelSpace, SearchSpace

Progress: TypeAlias = "Callable[[Variant, Measurement | ModelFault], None]"
"""Told of each measurement, and of each fault, when it is there."""

_BATCH = 8
"""Variants that are measured together; a run that is killed loses no more."""
_LOAD = 1.5
"""Seconds in which a runtime loads a part, about."""


@dataclass(frozen=True)
class SpaceProfile:
    """What a space's parts take on a device.

    Attributes:
        table: the latency (ms) of every arch: the sum of its parts.
        parts: what was measured.
        measurements: by the key of the item; all refer to one speed of the host.
        missing: variants without a measurement. An arch that has one costs more in `table` than
            any arch that has none.
        seconds: how long it took.
        calibration: the line from the sums to whole networks, which is in `table` then.
    """

    table: CostTable
    parts: SpaceParts
    measurements: Mapping[str, Measurement]
    missing: tuple[Variant, ...]
    seconds: float
    calibration: Calibration | None = None

    @property
    def count(self) -> int:
        """How many distinct variants the space has."""
        return self.parts.count

    @property
    def latencies(self) -> LatencyTable:
        """The measured variants by the keys of their items."""
        entries = {key: one.estimate for key, one in self.measurements.items()}
        return LatencyTable(entries, "the profile")

    def save(self, path: Path | str) -> None:
        """Write the table, which `CostTable.load` and `--cost NAME=FILE` read.

        A calibration goes into a second file, with `.calibration.json` for the suffix.
        """
        self.table.save(Path(path))
        if self.calibration is not None:
            self.calibration.save(Path(path).with_suffix(".calibration.json"))


def profile_space(
    space: SearchSpace,
    inputs: Inputs,
    device: Device,
    *,
    granularity: Cut = "auto",
    store: MeasurementStore | None = None,
    allow_missing: bool = False,
    progress: Progress | None = None,
) -> SpaceProfile:
    """Measure every distinct variant of a space's parts once; see `SpaceParts` for what they are.

    The number of measurements grows with layers times candidates, not with the number of archs.
    What the parts do not cover, such as a sum between two of them, is not in the table; measure a
    few whole networks and calibrate (`calibrated`).

    Args:
        inputs: of a network, batch included, which is that of the device.
        store: where measurements are kept, and looked up first; None takes the user's own. A run
            that was cut off goes on where it was.
        allow_missing: variants that cannot be measured are left out, where else that is an error.

    Raises:
        CostError: the space cannot be cut into parts, or a variant could not be measured, twice;
            the message names it.
        DeviceError: the device cannot measure anything.
    """
    parts = SpaceParts(space, inputs, granularity)
    return measure_parts(parts, device, store=store, allow_missing=allow_missing, progress=progress)


def pending(parts: SpaceParts, device: Device, store: MeasurementStore) -> list[Variant]:
    """The variants that were not measured on `device` yet."""
    conditions = device.conditions
    return [v for v in parts.variants if store.get(v.item, **conditions) is None]


def expected_seconds(count: int, device: Device) -> float:
    """About how long `count` measurements take."""
    cap = device.timing.time_cap if device.timing is not None else 1.0
    return count * (1.25 * cap + _LOAD)


def measure_parts(
    parts: SpaceParts,
    device: Device,
    *,
    store: MeasurementStore | None = None,
    allow_missing: bool = False,
    progress: Progress | None = None,
) -> SpaceProfile:
    """See `profile_space`."""
    if store is None:
        with MeasurementStore() as own:
            return measure_parts(
                parts, device, store=own, allow_missing=allow_missing, progress=progress
            )
    start = time.monotonic()
    known = known_of(parts.variants, device, store)
    if device.reference is None:
        # What is measured now refers to the speed that the rest refers to.
        canaries = [one.canary for one in known.values() if one.canary is not None]
        device.reference = canaries[0].reference if canaries else None
    left, faults = [v for v in parts.variants if v.item.key not in known], {}
    for _ in range(2):
        faults = measure_variants(parts.space, left, device, store, progress)
        left = [variant for variant in left if variant.item.key in faults]
    if left and not allow_missing:
        told = "; ".join(f"{variant}: {faults[variant.item.key]}" for variant in left[:5])
        more = f"; and {len(left) - 5} more" if len(left) > 5 else ""
        raise CostError(
            f"{len(left)} of {parts.count} variants could not be measured: {told}{more}"
        )
    measurements = at_one_speed(known_of(parts.variants, device, store))
    table = _table(parts, measurements)
    return SpaceProfile(table, parts, measurements, tuple(left), time.monotonic() - start)


def known_of(
    variants: Sequence[Variant], device: Device, store: MeasurementStore
) -> dict[str, Measurement]:
    """What the store has of them, by the keys of their items."""
    conditions = device.conditions
    found = {v.item.key: store.get(v.item, **conditions) for v in variants}
    return {key: one for key, one in found.items() if one is not None}


def at_one_speed(measurements: dict[str, Measurement]) -> dict[str, Measurement]:
    """All at the reference speed of the first."""
    canaries = [one.canary for one in measurements.values() if one.canary is not None]
    reference = canaries[0].reference if canaries else 0.0
    return {key: one.at(reference) for key, one in measurements.items()}


def measure_variants(
    space: ModelSpace,
    variants: Sequence[Variant],
    device: Device,
    store: MeasurementStore,
    progress: Progress | None,
) -> dict[str, ModelFault]:
    """Measure and store; returns the faults by the keys of the items."""
    faults: dict[str, ModelFault] = {}
    models = _models(space, variants)
    while batch := list(islice(models, _BATCH)):
        results = device.measure_each(
            [model for _, model, _ in batch], [inputs for _, _, inputs in batch], parts=True
        )
        good = [
            Stored(variant.item, result, time.time())
            for (variant, _, _), result in zip(batch, results, strict=True)
            if isinstance(result, Measurement)
        ]
        store.put_all(good)
        for (variant, _, _), result in zip(batch, results, strict=True):
            if isinstance(result, ModelFault):
                faults[variant.item.key] = result
            if progress is not None:
                progress(variant, result)
    return faults


def _models(
    space: ModelSpace, variants: Sequence[Variant]
) -> Iterator[tuple[Variant, nn.Module, tuple[Tensor, ...]]]:
    """Each variant as a module of its own with inputs; a network is built once for all its own."""
    by_arch: dict[int, list[Variant]] = {}
    for variant in variants:
        by_arch.setdefault(id(variant.arch), []).append(variant)
    for group in by_arch.values():
        arch = group[0].arch
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            model = space.build(arch).eval()
        modules = built_parts(space, model, arch)
        for variant in group:
            yield variant, *_alone(modules[id(variant.part.module)], variant.arguments)


def _alone(module: nn.Module, arguments: Arguments) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A module that takes tensors one by one, and noise for them."""
    generator = torch.Generator().manual_seed(0)
    inputs = tuple(_noise(x, generator) for x in arguments.tensors)
    if not arguments.kwargs and all(isinstance(x, Tensor) for x in arguments.args):
        return module, inputs
    places = map(_Place, range(len(inputs)))
    return _Called(module, arguments.each(lambda _: next(places))), inputs  # type: ignore[arg-type, return-value]


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    if like.dtype.is_floating_point:
        return torch.randn(like.shape, generator=generator).to(like.dtype)
    return torch.zeros(like.shape, dtype=like.dtype)


@dataclass(frozen=True)
class _Place:
    """Stands among arguments for the tensor of this number."""

    number: int


class _Called(nn.Module):
    """A module with the plain arguments that its network gives it."""

    def __init__(self, module: nn.Module, arguments: Arguments) -> None:
        super().__init__()
        self.module, self.arguments = module, arguments

    def forward(self, *tensors: Tensor) -> Any:
        """The module's outputs."""
        given = self.arguments.args, self.arguments.kwargs
        args, kwargs = tree_map_only(_Place, lambda place: tensors[place.number], given)
        return self.module(*args, **kwargs)


def _table(parts: SpaceParts, measurements: Mapping[str, Measurement]) -> CostTable:
    values = {key: one.median for key, one in measurements.items()}
    table = _summed(parts, values, 0.0)
    if len(values) < parts.count:
        table = _summed(parts, values, 2 * table.maximum()[0] + 1.0)
    return table


def _summed(parts: SpaceParts, values: Mapping[str, float], missing: float) -> CostTable:
    def latencies(event: Any) -> Any:
        call: Call = event
        each = [0.0]
        for key in call.variants:
            variant = parts.variant(key)
            each.append(0.0 if variant.idle else values.get(variant.item.key, missing))
        return np.array(each)[call.first]

    domain = Domain(parts.space.decisions)
    try:
        tables = assembled(domain, parts.calls, latencies)
    except TooLargeError as error:
        raise CostError(f"a part's latency depends on too many decisions: {error}") from error
    return CostTable("latency", parts.space, tables, domain=domain)
