"""What the estimators of latency have in common: the contract, measuring, and the sum."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor

from hwnas._estimate import Estimate
from hwnas.device._base import Device, Inputs, Model
from hwnas.device._closing import Closing
from hwnas.device._estimators.latency import SCALES, LatencyEstimate, Missing, Share, total
from hwnas.device._estimators.parts import Part, Parts
from hwnas.device._inputs import per_model
from hwnas.device._item import Item
from hwnas.device._local import LocalDevice
from hwnas.device._measurement import Measurement
from hwnas.device._store.store import MeasurementStore, Stored
from hwnas.device._timing.timing import Timing
from hwnas.errors import DeviceError, ModelFault


class Estimator(Closing):
    """Estimates the latency of networks from parts, each distinct one measured once.

    Contract:
    - Two parts are the same item if their operators, attributes, shapes (the batch included) and
      types are; weights do not matter. An item is measured as a small model of its own, with the
      values that it gets in the network, and counts as often as it is called.
    - What the outputs do not need is left out; see `live_calls`.
    - An item that cannot be measured is named in `missing` and tried again next time. If no item
      can be measured, that is a DeviceError. No number is ever NaN, or zero for a failure.
    - Measurements are remembered as long as the estimator, and in `store` for good.
    - Models are left unchanged.

    Args:
        device: what measures; None takes this host with one thread, ONNX Runtime and batch size 1.
        n_run: samples of each item (rounds of the timing loop; of short items a sample is the mean
            of a block of calls). None goes on until the interval of the median is as narrow as the
            device's timing asks.
        n_warmup: calls of each item before the first that counts, one at least. None runs until
            they get no faster.
        outlier: share of the samples to leave out, half of it at each end; the value is then the
            mean of the others. None takes the median.
        max_measure_execution_time: seconds for each item, warm-up included, whatever `n_run` says.
            One sample is always taken.
        time_scale: `m`, `u` or `n`: of the values returned.
        store: where measurements are looked up first, under the conditions of the device, and kept.
            What it has is taken as it is, however long it was measured.
    """

    _granularity: str

    def __init__(
        self,
        device: Device | None = None,
        *,
        n_run: int | None = None,
        n_warmup: int | None = None,
        outlier: float | None = None,
        max_measure_execution_time: float | None = None,
        time_scale: str = "m",
        store: MeasurementStore | None = None,
    ) -> None:
        if time_scale not in SCALES:
            raise DeviceError(f"time_scale is m, u or n, not '{time_scale}'")
        self.device = device or LocalDevice()
        self._unit, self._scale = SCALES[time_scale]
        self._outlier, self._store = outlier, store
        self._timing = _timing(self.device, n_run, n_warmup, outlier, max_measure_execution_time)
        self._known: dict[str, Measurement] = {}
        self._reference: float | None = None

    def estimate(self, model: Model, inputs: Tensor | Inputs) -> LatencyEstimate:
        """The latency of one network; see `estimates`."""
        return self.estimates([model], inputs)[0]

    def estimates(
        self, models: Sequence[Model], inputs: Tensor | Inputs | list[Inputs]
    ) -> list[LatencyEstimate]:
        """The latencies of networks; the new items of all of them are measured in one go.

        Args:
            models: modules, or paths of ONNX files where the estimator takes them.
            inputs: as `Device.measure` takes them, with batch dimension.

        Raises:
            DeviceError: a network has no items, or none of them can be measured.
            ModelFault: a network cannot be taken apart.
        """
        each = per_model(inputs, models)
        networks = self._taken_apart(models, each)
        faults = self._measure(networks)
        self._set_reference()
        return [
            self._sum(network, int(one[0].shape[0]), faults)
            for network, one in zip(networks, each, strict=True)
        ]

    def new_items(
        self, models: Sequence[Model], inputs: Tensor | Inputs | list[Inputs]
    ) -> list[Item]:
        """The distinct items that `estimates` would have to measure, in order."""
        networks = self._taken_apart(models, per_model(inputs, models))
        return [part.item for _, _, part in self._new(networks)]

    def reset(self) -> None:
        """Forget what was measured; the store keeps it."""
        self._known.clear()

    def close(self) -> None:
        """Close the device."""
        self.device.close()

    @abstractmethod
    def _parts(self, model: Model, inputs: Inputs) -> Parts:
        """Take a network apart."""

    def _taken_apart(self, models: Sequence[Model], inputs: Sequence[Inputs]) -> list[Parts]:
        size = self.device.conditions.get("batch_size")
        for one in inputs:
            if not one[0].ndim or size not in (None, one[0].shape[0]):
                raise DeviceError(
                    f"the first input has shape {tuple(one[0].shape)}, but device "
                    f"'{self.device.name}' measures batches of {size}"
                )
        return [self._parts(model, one) for model, one in zip(models, inputs, strict=True)]

    def _set_reference(self) -> None:
        """All values refer to one speed of the canary: the device's, or that of what was stored."""
        if self._reference is None:
            stored = (one.canary.reference for one in self._known.values() if one.canary)
            self._reference = self.device.reference or next(stored, None)

    def _new(self, networks: Sequence[Parts]) -> list[tuple[int, int, Part]]:
        """The first part of each item that is not known: its network, its place, itself."""
        found: dict[str, tuple[int, int, Part]] = {}
        for which, network in enumerate(networks):
            for place, part in enumerate(network.parts):
                if part.item.key not in found and not self._recall(part.item):
                    found[part.item.key] = (which, place, part)
        return list(found.values())

    def _recall(self, item: Item) -> bool:
        """Whether the item was measured before, here or in the store."""
        if item.key not in self._known and self._store is not None:
            kept = self._store.get(item, **self.device.conditions)
            if kept is not None and self._serves(kept):
                self._known[item.key] = kept
        return item.key in self._known

    def _serves(self, kept: Measurement) -> bool:
        if self._outlier is None:
            return True
        return kept.trimmed is not None and kept.trimmed.outlier == self._outlier

    def _measure(self, networks: Sequence[Parts]) -> Mapping[str, ModelFault]:
        """Measure what is not known yet; returns why an item could not be measured, by key."""
        new = self._new(networks)
        if not new:
            return {}
        models: list[Model] = []
        inputs: list[Inputs] = []
        with TemporaryDirectory(prefix="hwnas-") as folder:
            for which, network in enumerate(networks):
                places = [place for one, place, _ in new if one == which]
                for model, given in network.cut(places, Path(folder)) if places else ():
                    models.append(model)
                    inputs.append(given)
            results = self.device.measure_each(
                models, inputs, timing=self._timing, parts=self._granularity != "network"
            )
        faults: dict[str, ModelFault] = {}
        taken = []
        for (_, _, part), result in zip(new, results, strict=True):
            if isinstance(result, ModelFault):
                faults[part.item.key] = result
            else:
                self._known[part.item.key] = result
                taken.append(Stored(part.item, result, time.time()))
        if self._store is not None:
            self._store.put_all(taken)
        return faults

    def _sum(
        self,
        network: Parts,
        batch_size: int,
        faults: Mapping[str, ModelFault],
    ) -> LatencyEstimate:
        if not network.parts:
            raise DeviceError("the network has no operators: there is nothing to measure")
        first: dict[str, Part] = {}
        for part in network.parts:
            first.setdefault(part.item.key, part)
        counts = Counter(part.item.key for part in network.parts)
        measured = [key for key in first if key not in faults]
        if not measured:
            raise next(iter(faults[key] for key in first))
        at = {key: self._at_reference(self._known[key]) for key in measured}
        latencies = {key: self._latency(one) for key, one in at.items()}
        whole = total([(counts[key], one) for key, one in latencies.items()])
        return LatencyEstimate(
            value=whole.value,
            std=whole.std,
            unit=self._unit,
            batch_size=batch_size,
            device=self.device.name,
            granularity=self._granularity,
            reference=self._reference,
            items=tuple(
                Share(
                    name=first[key].name,
                    item=first[key].item,
                    count=counts[key],
                    operators=first[key].operators,
                    measurement=at[key],
                    latency=one,
                    share=counts[key] * one.value / whole.value,
                )
                for key, one in latencies.items()
            ),
            missing=tuple(
                Missing(part.name, part.item, counts[key], part.operators, str(faults[key]))
                for key, part in first.items()
                if key in faults
            ),
        )

    def _at_reference(self, one: Measurement) -> Measurement:
        return one if self._reference is None else one.at(self._reference)

    def _latency(self, one: Measurement) -> Estimate:
        mean = one.estimate
        if self._outlier is not None and one.trimmed is not None:
            mean = Estimate(one.trimmed.value, one.trimmed.std)
        return Estimate(mean.value * self._scale, mean.std * self._scale)


def _timing(
    device: Device,
    n_run: int | None,
    n_warmup: int | None,
    outlier: float | None,
    seconds: float | None,
) -> Timing | None:
    """The device's own timing with what was asked for; None if nothing was."""
    if (n_run, n_warmup, outlier, seconds) == (None, None, None, None):
        return None
    timing = device.timing or Timing()
    most = timing.rounds[1]
    if n_run is not None:
        timing = replace(timing, width=None, rounds=(n_run, n_run))
        most = n_run
    if seconds is not None:
        # The warm-up takes up to a quarter of the cap beside it.
        timing = replace(timing, time_cap=0.8 * seconds, rounds=(1, most))
    if n_warmup is not None:
        timing = replace(timing, warm_up=n_warmup)
    return timing if outlier is None else replace(timing, outlier=outlier)
