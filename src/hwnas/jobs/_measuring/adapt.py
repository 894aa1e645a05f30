"""Knowing a device from a few measurements: choose archs, measure them, adapt a predictor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from hwnas import _refs
from hwnas.errors import DeviceError, PredictError, UsageError
from hwnas.jobs._folder.spec import DeviceSpec
from hwnas.jobs._measuring.bench import ArchProgress, Bench, key_of
from hwnas.jobs._measuring.meter import open_device
from hwnas.jobs._measuring.registry import DeviceRegistry, find_device

if TYPE_CHECKING:
    from hwnas.device import Device, MeasurementStore
    from hwnas.predict import AdaptedPredictor, LatencyPredictor
    from hwnas.space import Arch, SearchSpace

AT_MOST = 100
"""Measurements after which adapting ends, whatever the error, if nothing else is said."""
_ENUMERABLE = 20_000
_DRAWN = 3_000


def adapt(
    predictor: LatencyPredictor,
    space: SearchSpace,
    device: str | DeviceSpec | Device = "local",
    n: int = 10,
    *,
    input_shape: Sequence[int] | None = None,
    until: float | None = None,
    at_most: int = AT_MOST,
    candidates: Sequence[Arch] | None = None,
    store: MeasurementStore | None = None,
    progress: ArchProgress | None = None,
) -> AdaptedPredictor:
    """Measure `n` archs on a device, and adapt a predictor to them.

    The archs are those that the predictor suggests. One that cannot be measured is replaced by the
    next suggestion. Each measurement is stored before the next is taken, and what is in the store
    is not measured again, so that a run that was cut off goes on where it was.

    Args:
        predictor: fitted, on archs of `space`; see `hwnas.predict.known_predictor`.
        device: as in `hwnas.search`, or a device. One that is given is not closed.
        input_shape: (C, H, W) of one input; by default that of the predictor.
        until: the median relative error to reach. After the first `n`, archs are measured one by
            one, each where it tells the most, until the predictor expects no more than that.
        at_most: measurements after which to stop all the same.
        candidates: what may be measured; by default `candidates_for(space)`.
        store: where measurements are kept, and looked up first; None takes the user's own.

    Raises:
        DeviceError: the device cannot measure anything, or too few of the archs.
        PredictError: the predictor cannot be adapted, or `until` is given and it tells no error.
    """
    from hwnas.predict import AdaptedPredictor, expected_error

    if not 1 <= n <= at_most:
        raise PredictError(f"the number of measurements must be from 1 to {at_most}, not {n}")
    if until is not None and not 0 < until < 1:
        raise PredictError(f"the error to reach must lie between 0 and 1, not {until}")
    shape = input_shape or predictor.input_shape
    if shape is None:
        raise PredictError("latencies depend on the input: give its shape (input_shape)")
    pool = candidates_for(space) if candidates is None else candidates
    wanted = min(n, len(pool))
    with _bench(space, device, shape, store, progress) as bench:

        def adapted() -> AdaptedPredictor:
            return AdaptedPredictor(
                device=bench.device.name,
                predictor=predictor,
                samples=bench.samples(),
                fingerprint=space.fingerprint,
                input_shape=bench.shape,
                conditions=bench.device.conditions,
                reference=bench.device.reference,
            )

        while len(bench.taken) < wanted:
            asked = min(wanted + len(bench.faults), len(pool))
            bench.measure(predictor.suggest(asked, pool), wanted)
        found = adapted()
        while until is not None and len(found.samples) < at_most:
            left = [arch for arch in pool if not bench.seen(arch)]
            if not left:
                break
            error = expected_error(found.predict(left))
            if error is None:
                raise PredictError(f"'{predictor.name}' tells no error, so there is none to reach")
            if error <= until:
                break
            known = [(sample.arch, sample.latency) for sample in found.samples]
            bench.measure(predictor.suggest(1, left, measured=known), len(known) + 1)
            found = adapted()
        return found


def measure_archs(
    space: SearchSpace,
    archs: Iterable[Arch],
    device: str | DeviceSpec | Device = "local",
    n: int | None = None,
    *,
    input_shape: Sequence[int],
    store: MeasurementStore | None = None,
    progress: ArchProgress | None = None,
) -> list[tuple[Arch, float]]:
    """The first `n` of the archs that can be measured on a device, with their latencies (ms).

    Arguments as for `adapt`; without `n` all archs have to be measurable.

    Raises:
        DeviceError: the device cannot measure anything, or too few of the archs.
    """
    listed = list(archs)
    wanted = len(listed) if n is None else n
    with _bench(space, device, input_shape, store, progress) as bench:
        bench.measure(listed, wanted)
        if len(bench.taken) < wanted:
            raise DeviceError(bench.too_few(wanted))
        return [(sample.arch, sample.latency) for sample in bench.samples()]


def candidates_for(space: SearchSpace, seed: int = 0) -> list[Arch]:
    """The archs to choose from: all of a small space, else a sample of the distribution
    `decisions`. No two are equal."""
    import numpy as np

    if space.size() <= _ENUMERABLE:
        return list(space.enumerate())
    rng = np.random.default_rng(seed)
    drawn = (space.sample(rng) for _ in range(_DRAWN))
    return list({key_of(arch): arch for arch in drawn}.values())


def random_archs(space: SearchSpace, seed: int = 0) -> list[Arch]:
    """The same in a random order."""
    import numpy as np

    archs = candidates_for(space, seed)
    return [archs[place] for place in np.random.default_rng(seed).permutation(len(archs))]


def device_named(text: str) -> DeviceSpec | Device:
    """As `find_device`; or a `Device`, or a function that makes one, by its reference.

    Raises:
        UsageError: there is none of that name.
    """
    from hwnas.device import Device

    if ":" not in text or "=" in text or text in DeviceRegistry().all():
        return find_device(text)
    target: Any = _refs.load(text)
    made = target() if callable(target) and not isinstance(target, Device) else target
    if not isinstance(made, Device):
        raise UsageError(f"'{text}' is {type(made).__name__}, not a device")
    return made


@contextmanager
def _bench(
    space: SearchSpace,
    device: str | DeviceSpec | Device,
    input_shape: Sequence[int],
    store: MeasurementStore | None,
    progress: ArchProgress | None,
) -> Iterator[Bench]:
    """A bench whose device and store are closed at the end, unless they were given."""
    from hwnas.device import MeasurementStore

    found = device_named(device) if isinstance(device, str) else device
    with ExitStack() as stack:
        if isinstance(found, DeviceSpec):
            found = stack.enter_context(open_device(found))
        kept = stack.enter_context(MeasurementStore()) if store is None else store
        yield Bench(space, found, tuple(input_shape), kept, progress)
