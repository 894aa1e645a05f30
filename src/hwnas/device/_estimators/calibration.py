"""From a sum of layers to the whole network: a line fitted on a few measured networks.

A sum of layer latencies ranks networks well and is off by a factor and an offset: the runtime has
its own work, and fuses what was measured apart. Both are nearly the same for the networks of a
space, so about ten of them, measured whole, tell the correction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwnas import _files
from hwnas._estimate import Estimate
from hwnas.errors import DeviceError

_Array = NDArray[np.float64]

_RESAMPLES = 2000


@dataclass(frozen=True)
class Calibration:
    """latency = offset + slope x estimate, fitted by least squares of the relative residuals.

    Attributes:
        offset: ms.
        slope: ms per unit of the estimate; not negative.
        residual_std: relative standard deviation of the measured networks from the line.
        spread: inverse of the fit's normal matrix, row by row: how the uncertainty of offset and
            slope adds to that of a prediction.
        errors: relative error of each measured network, predicted by a line through the others.
        baseline: the same fit on another estimate of the same networks, such as their FLOPs: a
            calibration that is no better than its baseline is not worth its layers.
    """

    SCHEMA: ClassVar[int] = 1

    offset: float
    slope: float
    residual_std: float
    spread: tuple[float, float, float, float]
    errors: tuple[float, ...]
    baseline: Calibration | None = None

    @classmethod
    def fit(
        cls,
        estimates: Sequence[float],
        measured: Sequence[float],
        *,
        baseline: Sequence[float] | None = None,
    ) -> Calibration:
        """Fit on whole networks; about ten are enough, three the least.

        Args:
            estimates: one per network, in any unit.
            measured: their latencies (ms), in the same order.
            baseline: another estimate of each, such as FLOPs.

        Raises:
            DeviceError: fewer than three networks, a number that is not finite and positive, or
                estimates that do not grow with the latencies.
        """
        line = cls._fit(_checked(estimates, "estimates"), _checked(measured, "latencies"))
        if line.slope == 0:
            raise DeviceError(
                "the estimates do not grow with the measured latencies, so there is nothing to "
                "calibrate; measure networks that differ more"
            )
        if baseline is None:
            return line
        other = cls._fit(_checked(baseline, "baseline"), _checked(measured, "latencies"))
        return replace(line, baseline=other)

    @classmethod
    def _fit(cls, x: _Array, y: _Array) -> Calibration:
        if len(x) != len(y):
            raise DeviceError(f"{len(x)} estimates for {len(y)} measured networks")
        if len(x) < 3:
            raise DeviceError(f"a calibration needs three measured networks, not {len(x)}")
        offset, slope = _line(x, y)
        residuals = (offset + slope * x) / y - 1
        each = np.arange(len(x))
        lines = [_line(x[each != i], y[each != i]) for i in each]
        held_out = [(a + b * x[i]) / y[i] - 1 for i, (a, b) in enumerate(lines)]
        return cls(
            offset=offset,
            slope=slope,
            residual_std=float(np.sqrt((residuals**2).sum() / (len(x) - 2))),
            spread=_spread(x, y),
            errors=tuple(float(error) for error in held_out),
        )

    @staticmethod
    def choose(estimates: Sequence[float], n: int = 10) -> list[int]:
        """Which of many candidates to measure: spread evenly from the least estimate to the most.

        Returns their indices, in the order of the estimates; all of them if there are no more.
        """
        values = _checked(estimates, "estimates")
        if n < 1:
            raise DeviceError(f"the number of networks to measure must be at least 1, not {n}")
        left = np.ones(len(values), dtype=bool)
        chosen = []
        for target in np.linspace(values.min(), values.max(), min(n, len(values))):
            gaps = np.where(left, np.abs(values - target), np.inf)
            chosen.append(int(gaps.argmin()))
            left[chosen[-1]] = False
        return sorted(chosen, key=lambda index: (float(values[index]), index))

    @property
    def error(self) -> float:
        """The mean of |errors|: how far off a network is that was not measured."""
        return float(np.abs(self.errors).mean())

    def error_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Bootstrap interval (percentiles, fixed seed) of `error`: wide, if networks were few."""
        drawn = np.random.default_rng(0).choice(np.abs(self.errors), (_RESAMPLES, len(self.errors)))
        tail = 50 * (1 - confidence)
        low, high = np.percentile(drawn.mean(axis=1), (tail, 100 - tail))
        return float(low), float(high)

    def within(self, ratio: float) -> float:
        """The share of the measured networks whose held-out error is at most `ratio`."""
        return float((np.abs(self.errors) <= ratio).mean())

    def apply(self, estimate: float) -> Estimate:
        """The latency (ms) of a network of this estimate; its standard deviation is a prediction's.

        Raises:
            DeviceError: the estimate lies so far outside those calibrated that the latency would
                not be positive.
        """
        value = self.offset + self.slope * estimate
        if not (np.isfinite(value) and value > 0):
            raise DeviceError(
                f"an estimate of {estimate:g} lies too far from the calibrated ones: its latency "
                f"would be {value:g} ms; calibrate with smaller networks"
            )
        at = np.array([1.0, estimate])
        of_line = at @ np.reshape(self.spread, (2, 2)) @ at
        return Estimate(value, self.residual_std * float(np.sqrt(value**2 + of_line)))

    def save(self, path: Path | str) -> None:
        """Write it as JSON."""
        _files.write_json(Path(path), {"schema": self.SCHEMA, **asdict(self)})

    @classmethod
    def load(cls, path: Path | str) -> Calibration:
        """Read what `save` wrote.

        Raises:
            DeviceError: the file is no calibration, or another version's.
        """
        try:
            data = json.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise DeviceError(f"the calibration {path} cannot be read: {error}") from error
        if not isinstance(data, dict) or data.pop("schema", None) != cls.SCHEMA:
            raise DeviceError(f"{path} is no calibration of schema {cls.SCHEMA}")
        try:
            return cls._from_dict(data)
        except (KeyError, TypeError, ValueError) as error:
            raise DeviceError(f"{path} is a malformed calibration: {error}") from error

    @classmethod
    def _from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        numbers = {name: float(data[name]) for name in ("offset", "slope", "residual_std")}
        first, second, third, fourth = (float(value) for value in data["spread"])
        errors = tuple(float(value) for value in data["errors"])
        if not np.isfinite([*numbers.values(), first, second, third, fourth, *errors]).all():
            raise ValueError("a number is not finite")
        if not errors or numbers["slope"] < 0:
            raise ValueError("there are no errors, or the slope is negative")
        below = data["baseline"]
        return cls(
            **numbers,
            spread=(first, second, third, fourth),
            errors=errors,
            baseline=None if below is None else cls._from_dict(below),
        )


def _line(x: _Array, y: _Array) -> tuple[float, float]:
    """Offset and slope of least relative residuals, the slope not negative."""
    weights = 1 / y**2
    mean_x, mean_y = np.average(x, weights=weights), np.average(y, weights=weights)
    variance = (weights * (x - mean_x) ** 2).sum()
    covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
    if variance <= 1e-18 * (weights * x**2).sum():
        return float(mean_y), 0.0
    slope = max(float(covariance / variance), 0.0)
    return float(mean_y - slope * mean_x), slope


def _spread(x: _Array, y: _Array) -> tuple[float, float, float, float]:
    """The inverse of the normal matrix; of estimates that are all the same, the pseudo-inverse."""
    scale = np.array([1.0, 1 / x.max()])  # FLOPs and their squares beside a constant
    weighted = np.stack([1 / y, x / y], axis=1) * scale
    inverse = np.linalg.pinv(weighted.T @ weighted) * np.outer(scale, scale)
    (a, b), (c, d) = inverse.tolist()
    return a, b, c, d


def _checked(values: Sequence[float], what: str) -> _Array:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not len(array) or not (np.isfinite(array) & (array > 0)).all():
        raise DeviceError(f"{what} must be finite and positive numbers, at least one")
    return array
