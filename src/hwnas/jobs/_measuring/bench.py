"""Archs of a space measured on a device, one after another, each kept at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from hwnas.errors import DeviceError, ModelFault
from hwnas.jobs._measuring.networks import network, network_item

if TYPE_CHECKING:
    from hwnas.device import Device, Measurement, MeasurementStore
    from hwnas.predict import Sample
    from hwnas.space import Arch, SearchSpace

ArchProgress: TypeAlias = "Callable[[Arch, Measurement | ModelFault, bool], None]"
"""Told of each arch, what became of it, and whether it had been measured before."""


@dataclass
class Bench:
    """What has been measured of a space on a device, and what could not be."""

    space: SearchSpace
    device: Device
    shape: tuple[int, ...]
    store: MeasurementStore
    progress: ArchProgress | None
    taken: dict[str, tuple[Arch, Measurement]] = field(default_factory=dict)
    faults: dict[str, ModelFault] = field(default_factory=dict)

    @property
    def batch_size(self) -> int:
        """Of the device; 1 where it does not say."""
        return int(self.device.conditions.get("batch_size", 1))

    def seen(self, arch: Arch) -> bool:
        """Whether it was measured, or tried."""
        return key_of(arch) in self.taken or key_of(arch) in self.faults

    def measure(self, archs: Iterable[Arch], wanted: int) -> None:
        """Those of the archs that were not seen, until `wanted` are measured in all.

        Raises:
            DeviceError: all were seen, or nearly all that were tried cannot be measured.
        """
        new = [arch for arch in archs if not self.seen(arch)]
        if not new:
            raise DeviceError(self.too_few(wanted))
        for arch in new:
            if len(self.taken) >= wanted:
                return
            self._one(arch)
            if len(self.faults) > max(5, 2 * len(self.taken)):
                raise DeviceError(self.too_few(wanted))

    def _one(self, arch: Arch) -> None:
        item = network_item(self.space, arch, self.shape, self.batch_size)
        result: Measurement | ModelFault | None
        result = self.store.get(item, **self.device.conditions)
        before = result is not None
        if result is None:
            result = self._measured(arch)
        if isinstance(result, ModelFault):
            self.faults[key_of(arch)] = result
        else:
            if not before:
                self.store.put(item, result)
            elif self.device.reference is None and result.canary is not None:
                # What is measured from now on refers to the same speed.
                self.device.reference = result.canary.reference
            self.taken[key_of(arch)] = arch, result
        if self.progress is not None:
            self.progress(arch, result, before)

    def _measured(self, arch: Arch) -> Measurement | ModelFault:
        try:
            model, inputs = network(self.space, arch, self.shape, self.batch_size)
        except ModelFault as fault:
            return fault
        return self.device.measure_each([model], inputs)[0]

    def samples(self) -> tuple[Sample, ...]:
        """What was measured, at one speed of the host."""
        from hwnas.predict import Sample

        found = []
        for arch, one in self.taken.values():
            if self.device.reference is not None:
                one = one.at(self.device.reference)
            plain = json.loads(json.dumps(one.to_dict()))  # lists for tuples, as read from disk
            found.append(Sample(arch, one.median, one.low, one.high, plain))
        return tuple(found)

    def too_few(self, wanted: int) -> str:
        """That there are no more than these, and why."""
        told = f"{len(self.taken)} of {wanted} archs could be measured on '{self.device.name}'"
        if not self.faults:
            return f"{told}, and there are no others"
        return f"{told}, {len(self.faults)} could not; the last: {list(self.faults.values())[-1]}"


def key_of(arch: Arch) -> str:
    """Equal for equal archs."""
    return json.dumps(arch, sort_keys=True)
