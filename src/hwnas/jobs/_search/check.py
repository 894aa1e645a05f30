"""Checking a request before anything is written or started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from hwnas import _plugins
from hwnas.errors import DeviceError, JobError, UsageError
from hwnas.jobs._executors.choice import make_executor
from hwnas.jobs._folder.spec import QUEUE
from hwnas.jobs._measuring.meter import MEASURED, measured_keys, open_device

if TYPE_CHECKING:
    from hwnas.cost import Cost
    from hwnas.jobs._folder.spec import DeviceSpec, JobSpec
    from hwnas.predict import AdaptedPredictor

_SHAPED = ("macs", "flops", "peak_activation_bytes")


def check_request(spec: JobSpec) -> dict[str, DeviceSpec]:
    """Refuse what could not end well; return the cost keys that devices must measure.

    Raises:
        HwnasError: the budget, a device, the strategy, an objective, the executor or the storage
            makes no sense, or something is asked for that cannot be had on this host.
    """
    from hwnas.budget import Budget
    from hwnas.strategy import StudyStore, check_storage, make_strategy

    devices = [device.name for device in spec.devices]
    if len(set(devices)) < len(devices):
        raise UsageError(f"a device is given twice: {', '.join(devices)}")
    here = [device for device in spec.devices if device.runtime != QUEUE]
    for device in here:
        _plugins.load("runtimes", device.runtime)
    told = {"reward", spec.metric, *spec.metrics}
    if twice := sorted(told & spec.costs.keys()):
        raise UsageError(f"'{twice[0]}' is a metric of the trainer; name the cost something else")
    own = told | spec.costs.keys()
    budget = Budget.parse(spec.budget, metrics=own, devices=devices) if spec.budget else Budget()
    wanted = [c.key for c in budget] + [o.name for o in spec.objectives]
    keys = measured_keys(
        (key for key in wanted if key not in own or key in at_hand(spec.costs, spec)), spec.devices
    )
    for key in wanted:
        if key not in keys and key not in own:
            _check_cost(key, spec)
    if keys and spec.input_shape is None:
        raise _shapeless(next(iter(keys)))
    for device in keys.values():
        if device in here:
            open_device(device).close()
    if len(spec.objectives) > 1 and not make_strategy(spec.strategy).multi_objective:
        raise JobError(f"strategy '{spec.strategy}' optimises one objective; try tpe or nsga2")
    make_strategy(spec.strategy)
    if spec.executor is not None:
        make_executor(spec.executor).check(spec)
    if spec.storage is not None:
        check_storage(spec.storage)
        StudyStore(spec.storage, spec.name)
    return keys


def at_hand(costs: Iterable[str], spec: JobSpec) -> dict[str, DeviceSpec]:
    """Those of the user's costs that belong to a device of the search: `latency@NAME`.

    They say what to propose; what has been trained is measured all the same.
    """
    devices = {device.name: device for device in spec.devices}
    found = {}
    for key in costs:
        metric, _, name = key.partition("@")
        if metric in MEASURED and name in devices:
            found[key] = devices[name]
    return found


def check_predicted(costs: Mapping[str, Cost], spec: JobSpec) -> None:
    """Refuse a predictor that was adapted to a device of the search as it was set otherwise.

    Raises:
        JobError: it was; the message says what differs.
    """
    for key, device in at_hand(costs, spec).items():
        adapted = adapted_in(costs[key])
        if adapted is None:
            continue
        for name in ("runtime", "threads", "batch_size", "precision"):
            then, now = adapted.conditions.get(name), getattr(device, name)
            if then not in (None, now):
                raise JobError(
                    f"the predictor of '{key}' was adapted with {name} {then}, and the device has "
                    f"{name} {now}; adapt it anew, or name the cost otherwise"
                )


def adapted_in(cost: Cost) -> AdaptedPredictor | None:
    """The adapted predictor that a cost asks, if it is one."""
    from hwnas.predict import AdaptedPredictor, PredictedLatency

    predictor = cost.predictor if isinstance(cost, PredictedLatency) else None
    return predictor if isinstance(predictor, AdaptedPredictor) else None


def _check_cost(key: str, spec: JobSpec) -> None:
    from hwnas.cost import METRICS, STATIC_METRICS

    if key in STATIC_METRICS:
        if key in _SHAPED and spec.input_shape is None:
            raise _shapeless(key)
        return
    metric = key.partition("@")[0]
    if metric in METRICS and METRICS[metric].on_device:
        known = ", ".join(MEASURED)
        raise DeviceError(f"'{key}' cannot be measured on this host; what can: {known}")
    if metric in METRICS:
        raise JobError(f"'{key}' is not computed yet; what is: {', '.join(STATIC_METRICS)}")
    known = ", ".join([spec.metric, *spec.metrics, *spec.costs, *STATIC_METRICS, *MEASURED])
    raise JobError(f"nothing gives a value '{key}'; known: {known} (a trainer declares its own)")


def _shapeless(key: str) -> JobError:
    return JobError(
        f"'{key}' depends on the input: give a task, or the input's shape (input_shape=(C, H, W) "
        "or --input-shape C,H,W)"
    )
