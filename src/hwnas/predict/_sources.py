"""What a predictor learns from: latencies of the same archs on several devices."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import PredictError
from hwnas.space import RESOLUTION as RESOLUTION
from hwnas.space import Arch, SearchSpace


def arch_key(arch: Arch) -> str:
    """Equal for equal archs, whatever the order of their entries."""
    return json.dumps(arch, sort_keys=True)


@dataclass(frozen=True)
class Provenance:
    """Where the latencies of a device come from.

    Attributes:
        source: a file, a folder, a measurement store, a web address.
        licence: of the data, if known.
        notes: what a reader must know: conditions, repaired rows, doubts.
        resolution: the step of the timer in ms, where it makes ranks tie.
    """

    source: str
    licence: str | None = None
    notes: tuple[str, ...] = ()
    resolution: float | None = None


@dataclass(frozen=True)
class SourceTable:
    """Latencies (ms) of archs of one space on devices.

    Attributes:
        space: the space's name in the zoo, a reference `module:name`, or the space itself.
        archs: the rows, each once. An arch of a network whose input size varies has the entry
            `resolution` beside the space's decisions.
        latencies: for each device a latency per row, in ms, (n,) float64; NaN where the device did
            not measure the arch, else positive. A table without devices tells the space alone.
        provenance: of each device.
        input_shape: (C, H, W) of one input; None where the space has a size of its own.
        num_classes: what a class or function that makes the space is given beside it, if anything;
            see `hwnas.zoo.load_space`.

    Raises:
        PredictError: lengths differ, a device has no measurement, or a latency is not positive.
    """

    space: str | SearchSpace
    archs: tuple[Arch, ...]
    latencies: Mapping[str, NDArray[np.float64]]
    provenance: Mapping[str, Provenance] = field(default_factory=dict)
    input_shape: tuple[int, ...] | None = None
    num_classes: int | None = None

    def __post_init__(self) -> None:
        for name, values in self.latencies.items():
            if values.shape != (len(self.archs),):
                raise PredictError(
                    f"device '{name}' has {values.size} latencies for {len(self.archs)} archs"
                )
            if np.isnan(values).all():
                raise PredictError(f"device '{name}' has no measurement")
            wrong = np.flatnonzero(~np.isnan(values) & ~((values > 0) & np.isfinite(values)))
            if wrong.size:
                row = int(wrong[0])
                raise PredictError(
                    f"device '{name}', row {row}: the latency {values[row]} is not positive"
                )

    @classmethod
    def of(
        cls,
        space: str | SearchSpace,
        measured: Mapping[str, Sequence[tuple[Arch, float]]],
        *,
        provenance: Mapping[str, Provenance] | None = None,
        input_shape: tuple[int, ...] | None = None,
        num_classes: int | None = None,
    ) -> SourceTable:
        """The table of what each device measured: pairs of an arch and its latency (ms).

        Raises:
            PredictError: as for the class; or a device measured an arch twice.
        """
        rows: dict[str, int] = {}
        archs: list[Arch] = []
        places: dict[str, list[int]] = {}
        for device, pairs in measured.items():
            for arch, _ in pairs:
                row = rows.setdefault(arch_key(arch), len(archs))
                if row == len(archs):
                    archs.append(arch)
                places.setdefault(device, []).append(row)
        latencies = {}
        for device, at in places.items():
            if len(set(at)) < len(at):
                raise PredictError(f"device '{device}' measured an arch twice")
            latencies[device] = np.full(len(archs), np.nan)
            latencies[device][at] = [latency for _, latency in measured[device]]
        return cls(space, tuple(archs), latencies, provenance or {}, input_shape, num_classes)

    @property
    def devices(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.latencies)

    def only(self, devices: Sequence[str]) -> SourceTable:
        """The table of some of the devices.

        Raises:
            PredictError: one is not in the table.
        """
        for name in devices:
            if name not in self.latencies:
                raise PredictError(
                    f"there is no device '{name}'; the table has {', '.join(self.devices)}"
                )
        return replace(
            self,
            latencies={name: self.latencies[name] for name in devices},
            provenance={name: self.provenance[name] for name in devices if name in self.provenance},
        )

    def rows(self, indices: Sequence[int] | NDArray[np.int64]) -> SourceTable:
        """The table of some of the archs."""
        chosen = np.asarray(indices, np.int64)
        return replace(
            self,
            archs=tuple(self.archs[index] for index in chosen.tolist()),
            latencies={name: values[chosen] for name, values in self.latencies.items()},
        )
