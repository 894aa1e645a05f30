"""What is known of a device: by a table, a folder, or a few measurements."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.cli._predict_adapt import known_before
from hwnas.cli._predict_options import measuring, shaped_space, short_arch
from hwnas.errors import PredictError, UsageError

if TYPE_CHECKING:
    from hwnas.predict import AdaptedPredictor, DevicePredictor, LatencyPredictor, SourceTable
    from hwnas.space import Arch, SearchSpace

_POOL = 900
"""Archs of a table from which those to adapt to are chosen; so many in HELP's protocol."""


@dataclass(frozen=True)
class Request:
    """What the options say about the space and what is known of it."""

    reference: str
    task: str | None
    input_shape: str | None
    predictor: Path | None
    sources: Path | None
    prior: bool
    n: int
    seed: int

    def adapted(self) -> AdaptedPredictor | None:
        """The predictor, if it knows a device already."""
        from hwnas.predict import load_adapted

        if self.predictor is None or not (self.predictor / "adapted.json").is_file():
            return None
        return load_adapted(self.predictor, self.reference)

    def fitted(self) -> tuple[SearchSpace, tuple[int, ...], LatencyPredictor, str]:
        """The space, the shape of its inputs, what is known before, and that in words."""
        return known_before(
            self.reference,
            self.task,
            self.input_shape,
            self.sources,
            self.predictor,
            prior=self.prior,
            method=None,
        )

    def shaped(self, known: tuple[int, ...] | None) -> SearchSpace:
        """The space, where the predictor tells its inputs."""
        return shaped_space(self.reference, self.task, self.input_shape, known)[0]


@dataclass(frozen=True)
class KnownDevice:
    """A device that latencies are told of; `spent` were measured to know it."""

    space: SearchSpace
    device: str
    predictor: DevicePredictor
    measure: Callable[[Arch], float] | None
    spent: int
    told: str


def device_of_table(request: Request, path: Path, device: str | None) -> KnownDevice:
    """A device of a table: its latencies stand for measurements."""
    import numpy as np

    name, table = _column(path, request.reference, device)
    values = table.latencies[name]
    there = np.flatnonzero(~np.isnan(values))
    measured = {_key(table.archs[row]): float(values[row]) for row in there}

    def measure(arch: Arch) -> float:
        try:
            return measured[_key(arch)]
        except KeyError:
            raise PredictError(f"{path} has no latency of {short_arch(arch)}") from None

    adapted = request.adapted()
    if adapted is not None:
        space = request.shaped(adapted.input_shape)
        told = f"{request.predictor}, adapted to {adapted.device}"
        return KnownDevice(space, name, adapted, measure, len(adapted.samples), told)
    if request.sources is not None:
        _refuse_itself(request.sources, request.reference, name)
    space, _, known, told = request.fitted()
    drawn = np.random.default_rng(request.seed).permutation(there)[:_POOL]
    chosen = known.suggest(min(request.n, len(drawn)), [table.archs[row] for row in sorted(drawn)])
    predictor = known.adapt(chosen, [measure(arch) for arch in chosen])
    return KnownDevice(space, name, predictor, measure, len(chosen), told)


def _refuse_itself(sources: Path, space: str, device: str) -> None:
    """A device that is among its own sources would be known from all of its latencies."""
    from hwnas.predict import load_sources

    if device in load_sources(sources, space).devices:
        raise UsageError(
            f"{sources} has the latencies of '{device}' itself: learn from the others with "
            f"hwnas predict train --without {device}, and give that --predictor"
        )


def _column(path: Path, space: str, device: str | None) -> tuple[str, SourceTable]:
    from hwnas.predict import load_sources, read_sources

    if path.suffix == ".safetensors":
        table = load_sources(path, space)
    else:
        table = read_sources(path, space, devices=[device] if device else ()).table
    if device is None and len(table.devices) > 1:
        raise UsageError(f"{path} has several devices: name one of them with --device")
    name = device or table.devices[0]
    return name, table.only([name])


def device_at_hand(
    request: Request, device: str | None, store: Path | None, stack: ExitStack, *, quiet: bool
) -> KnownDevice:
    """A device to measure on. One that is known already need not be there."""
    from hwnas.device import MeasurementStore
    from hwnas.jobs import DeviceSpec, adapt, device_named, measure_archs, open_device

    adapted = request.adapted()
    if adapted is not None and device is None:
        space = request.shaped(adapted.input_shape)
        told = f"{request.predictor}, adapted to {adapted.device}"
        return KnownDevice(space, adapted.device, adapted, None, len(adapted.samples), told)
    kept = stack.enter_context(MeasurementStore(store))
    named = device_named(device or "local")
    if isinstance(named, DeviceSpec):
        reference = adapted.reference if adapted is not None else None
        named = stack.enter_context(open_device(named, reference))
    if adapted is not None:
        space, told = request.shaped(adapted.input_shape), f"{request.predictor}"
    else:
        space, shape, known, told = request.fitted()
        with measuring(request.n, quiet=quiet) as progress:
            adapted = adapt(
                known,
                space,
                named,
                request.n,
                input_shape=shape,
                at_most=max(request.n, 100),
                store=kept,
                progress=progress,
            )
    shape = adapted.input_shape

    def measure(arch: Arch) -> float:
        with measuring(1, quiet=quiet) as progress:
            taken = measure_archs(
                space, [arch], named, input_shape=shape, store=kept, progress=progress
            )
        return taken[0][1]

    return KnownDevice(space, named.name, adapted, measure, len(adapted.samples), told)


def _key(arch: Arch) -> str:
    return dumps(arch, sort_keys=True)
