"""A device that is known from a few measurements, and its folder on disk."""

from __future__ import annotations

import json
import math
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hwnas._files import write_json
from hwnas.errors import PredictError
from hwnas.predict._base import DevicePredictor, LatencyPredictor, Prediction
from hwnas.predict._registry import load_predictor
from hwnas.space import Arch, SearchSpace

FILE = "adapted.json"
"""What a folder of an adapted predictor holds beside the predictor; other files are its own."""
_FORMAT = 1


@dataclass(frozen=True)
class Sample:
    """What an arch took on the device.

    Attributes:
        arch: what was measured.
        latency: in ms, within its interval [`low`, `high`].
        measurement: all that the device told, as plain JSON values, its environment included.
    """

    arch: Arch
    latency: float
    low: float
    high: float
    measurement: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = (self.low, self.latency, self.high)
        if not (all(math.isfinite(v) and v > 0 for v in values) and list(values) == sorted(values)):
            raise PredictError(
                f"a sample's latency {self.latency} with the interval {self.low} to {self.high} "
                "makes no sense"
            )


@dataclass(frozen=True)
class AdaptedPredictor(DevicePredictor):
    """A predictor, and what one device measured: the latency there of any arch of the space.

    Attributes:
        device: its name.
        predictor: what was learnt from other devices.
        samples: what was measured, in that order.
        fingerprint: of the space.
        input_shape: (C, H, W) of one input.
        conditions: of the device, plain JSON values: runtime, threads, batch size, precision.
        reference: the canary's latency (ms) that the samples are normalised to; None without one.

    Raises:
        PredictError: the predictor cannot be adapted to the samples.
    """

    device: str
    predictor: LatencyPredictor
    samples: tuple[Sample, ...]
    fingerprint: str
    input_shape: tuple[int, ...]
    conditions: Mapping[str, Any] = field(default_factory=dict)
    reference: float | None = None

    def __post_init__(self) -> None:
        _ = self._adapted

    @cached_property
    def _adapted(self) -> DevicePredictor:
        archs = [sample.arch for sample in self.samples]
        return self.predictor.adapt(archs, [sample.latency for sample in self.samples])

    @property
    def space(self) -> str | SearchSpace:
        """The space, by its name or reference where it has one."""
        return self.predictor.space

    def predict(self, archs: Sequence[Arch]) -> Prediction:
        """Latencies of n archs (ms)."""
        return self._adapted.predict(archs)

    def save(self, folder: Path | str) -> None:
        """Write the folder; an adapted predictor that is there already is replaced.

        Until the last moment a reader finds what was there before.

        Raises:
            PredictError: there is something else.
        """
        folder = Path(folder)
        ours = (folder / FILE).is_file()
        if not ours and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise PredictError(f"{folder} holds something else; name another folder")
        name = f"predictor-{secrets.token_hex(6)}"
        told = {
            "format": _FORMAT,
            "hwnas": version("hwnas"),
            "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "device": self.device,
            "space": self.space if isinstance(self.space, str) else None,
            "input_shape": list(self.input_shape),
            "fingerprint": self.fingerprint,
            "conditions": dict(self.conditions),
            "reference": self.reference,
            "predictor": name,
            "samples": [asdict(sample) for sample in self.samples],
        }
        folder.mkdir(parents=True, exist_ok=True)
        self.predictor.save(folder / name)
        write_json(folder / FILE, told)
        for old in folder.glob("predictor-*"):
            if old.name != name:
                shutil.rmtree(old, ignore_errors=True)


def load_adapted(folder: Path | str, space: str | SearchSpace | None = None) -> AdaptedPredictor:
    """The adapted predictor in a folder that `save` wrote: it predicts what that one did.

    Args:
        space: the space it is expected to be of; see `load_predictor`.

    Raises:
        PredictError: there is none, or it cannot be read.
    """
    folder = Path(folder)
    path = folder / FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != _FORMAT:
            raise PredictError(
                f"{path} has format {told['format']!r}; this version reads format {_FORMAT}"
            )
        name = str(told["predictor"])
        if not name.startswith("predictor-") or Path(name).name != name:
            raise PredictError(f"{path}: the predictor '{name}' lies outside of the folder")
        samples = tuple(Sample(**sample) for sample in told["samples"])
        facts = {key: told[key] for key in ("device", "fingerprint", "conditions", "reference")}
        facts["input_shape"] = tuple(told["input_shape"])
    except FileNotFoundError as error:
        raise PredictError(
            f"{folder} holds no adapted predictor (it has no {FILE}); hwnas predict adapt makes one"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PredictError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    if isinstance(space, SearchSpace) and space.fingerprint != facts["fingerprint"]:
        raise PredictError(f"the predictor in {folder} was adapted to archs of another space")
    predictor = load_predictor(folder / name, space)
    return AdaptedPredictor(predictor=predictor, samples=samples, **facts)
