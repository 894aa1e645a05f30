"""A profile set right by a few networks that are measured whole."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from hwnas.cost._profiling.described import described
from hwnas.cost._profiling.granularity import Part
from hwnas.cost._profiling.profile import (
    Progress,
    SpaceProfile,
    at_one_speed,
    known_of,
    measure_variants,
)
from hwnas.cost._profiling.variants import SpaceParts, Variant
from hwnas.cost._space_costs import cost_tables
from hwnas.cost._tracing.inputs import arguments_of
from hwnas.device import Calibration, Device, Item, MeasurementStore
from hwnas.errors import CostError, DeviceError
from hwnas.space import Arch

_DRAWN = 1000


def calibrated(
    profile: SpaceProfile,
    device: Device,
    n: int = 10,
    *,
    store: MeasurementStore | None = None,
    progress: Progress | None = None,
) -> SpaceProfile:
    """Measure `n` whole networks and correct the table by the line that fits them.

    They are spread over the range of the table, from its smallest to its largest network. What is
    left of the error is the table's `relative_std`: the root of the mean square of the held-out
    errors, or the deviation from the line if that is larger. `profile.calibration` tells more, the
    error of the same line through FLOPs beside it.

    Args:
        store: as for `profile_space`.

    Raises:
        CostError: fewer than three networks, one cannot be measured, the profile has missing
            variants or is calibrated already, or the measurements do not grow with the table.
        DeviceError: the device cannot measure anything.
    """
    if store is None:
        with MeasurementStore() as own:
            return calibrated(profile, device, n, store=own, progress=progress)
    if profile.missing or profile.calibration is not None:
        state = "is calibrated already" if profile.calibration else "has missing variants"
        raise CostError(f"the profile {state} and cannot be calibrated")
    if n < 3:
        raise CostError(f"a calibration needs at least three networks, not {n}")
    start, parts, table = time.monotonic(), profile.parts, profile.table
    whole = [_network(parts, arch) for arch in _spread(profile, n)]
    known = known_of(whole, device, store)
    left = [one for one in whole if one.item.key not in known]
    faults = measure_variants(parts.space, left, device, store, progress)
    if faults:
        raise CostError(f"{len(faults)} networks cannot be measured: {next(iter(faults.values()))}")
    # All at the speed that the parts refer to, which come first.
    speed = at_one_speed({**profile.measurements, **known_of(whole, device, store)})
    archs = [one.arch for one in whole]
    flops = cost_tables(parts.space, parts.inputs, ["flops"])["flops"]
    try:
        line = Calibration.fit(
            [table(arch) for arch in archs],
            [speed[one.item.key].median for one in whole],
            baseline=[flops(arch) for arch in archs],
        )
    except DeviceError as error:
        raise CostError(str(error)) from error
    std = max(line.residual_std, float(np.sqrt(np.mean(np.square(line.errors)))))
    right = (line.slope * table + line.offset).uncertain(std)
    if right.minimum()[0] <= 0:
        raise CostError(
            "the calibrated latency of the smallest network is not positive; calibrate with more "
            "networks"
        )
    seconds = profile.seconds + time.monotonic() - start
    return replace(profile, table=right, calibration=line, seconds=seconds)


def _spread(profile: SpaceProfile, n: int) -> list[Arch]:
    """Archs from the smallest to the largest, evenly by what the table says."""
    table, rng = profile.table, np.random.default_rng(0)
    drawn = [table.minimum()[1], table.maximum()[1]]
    drawn += [table.space.sample(rng) for _ in range(_DRAWN)]
    different = list({str(arch): arch for arch in drawn}.values())
    values = table.evaluate(table.space.encode(different)).tolist()
    return [different[place] for place in Calibration.choose(values, n)]


def _network(parts: SpaceParts, arch: Arch) -> Variant:
    with torch.device("meta"):
        model = parts.space.build(arch).eval()
    arguments = arguments_of(model, parts.inputs).each(
        lambda x: torch.empty(x.shape, dtype=x.dtype, device="meta")
    )
    inputs, operations = described(model, arguments)
    item = Item("network", {"inputs": inputs, "operations": operations})
    return Variant(item, Part("", parts.space.template), arch, arguments)
