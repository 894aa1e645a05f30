"""What each source device would take: a closed-form regression each, on descriptor groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import PredictError

Array = NDArray[np.float64]
Groups = Mapping[str, Array]

_STRENGTHS = 10.0 ** np.arange(-7, 2.1, 0.5)
"""Ridge strengths that are tried, for features of mean squared length 1."""
_ONE_HOT = "decisions"
"""The group whose products of two columns are features as well."""
_PAIR_COLUMNS = 40
"""With more columns the products are too many for the rows of a usual table."""
_PAIR_WEIGHT = 0.3
_FLOOR = 0.01
"""Share of a device's median latency. No prediction is below it; what was measured below it (of
archs that compute nothing, or by mistake) is taken as this."""


@dataclass(frozen=True)
class SourceModels:
    """Latencies of any arch on the source devices, told from its descriptor.

    Predictors that use the sources' latencies as features take them from here for the archs that
    were measured as well as for others, so that an arch of the table is nothing special; it also
    takes the noise out of single measurements.

    Each device has a ridge regression in its dual sense: the kernel is the mean over groups of the
    inner products of standardised columns, plus the products of two one-hot decisions. Linear or
    logarithmic latency and the strength are those of the least squared leave-one-out error in
    latency (PRESS; Golub, Heath and Wahba 1979). Everything is 64-bit floats in closed form.

    Attributes:
        devices: names, in the order of the columns.
        weights: (p, d) of the descriptor's columns, all groups side by side, as they are.
        pairs: (k, k, d) of products of two of the k one-hot decisions; k is 0 where these are not
            used.
        intercept: (d,).
        log: (d,) whether the regression gives the logarithm.
        floor: (d,) the least latency (ms) that is predicted.
        error: (d,) root mean square of the leave-one-out errors, over the device's mean latency.
    """

    devices: tuple[str, ...]
    weights: Array
    pairs: Array
    intercept: Array
    log: NDArray[np.bool_]
    floor: Array
    error: Array

    @classmethod
    def fit(
        cls, groups: Groups, latencies: Mapping[str, Array], log: bool | None = None
    ) -> SourceModels:
        """Regressions of measured latencies.

        Args:
            groups: of n archs, as of `Descriptor.groups`.
            latencies: device -> (n,) in ms, NaN where it did not measure.
            log: whether logarithms are fitted; None takes what errs less.

        Raises:
            PredictError: a device has fewer than three latencies.
        """
        columns = _side_by_side(groups)
        onehot = _paired(groups)
        first, second = np.triu_indices(onehot.shape[1], 1)
        features = np.concatenate([columns, onehot[:, first] * onehot[:, second]], axis=1)
        centre, spread = features.mean(axis=0), features.std(axis=0)
        scale = np.divide(
            _column_weights(groups, len(first)),
            spread,
            out=np.zeros_like(spread),
            where=spread > 1e-9 * (1.0 + np.abs(centre)),
        )
        features = (features - centre) * scale
        solvers: dict[bytes, _Solver] = {}
        fits = []
        for device, values in latencies.items():
            there = ~np.isnan(values)
            if there.sum() < 3:
                raise PredictError(
                    f"device '{device}' has {int(there.sum())} latencies; a source needs 3 or more"
                )
            key = there.tobytes()
            if key not in solvers:
                solvers[key] = _Solver(features[there])
            fits.append(solvers[key].best(values[there], (False, True) if log is None else (log,)))
        weights = np.stack([fit.weights for fit in fits], axis=1) * scale[:, None]
        pairs = np.zeros((onehot.shape[1], onehot.shape[1], len(fits)))
        pairs[first, second] = weights[columns.shape[1] :]
        return cls(
            tuple(latencies),
            weights[: columns.shape[1]],
            pairs,
            np.array([fit.intercept for fit in fits]) - centre @ weights,
            np.array([fit.log for fit in fits]),
            np.array([fit.floor for fit in fits]),
            np.array([fit.error for fit in fits]),
        )

    def predict(self, groups: Groups) -> Array:
        """Latencies in ms of n archs on the d devices, (n, d); positive.

        Raises:
            PredictError: the groups have other columns than those of `fit`.
        """
        columns, onehot = _side_by_side(groups), _paired(groups)
        if columns.shape[1] != len(self.weights) or onehot.shape[1] != len(self.pairs):
            raise PredictError(
                f"the descriptor has {columns.shape[1]} columns and the sources were described by "
                f"{len(self.weights)}; fit the sources again"
            )
        found = columns @ self.weights + self.intercept
        for device in range(len(self.devices) if onehot.shape[1] else 0):
            found[:, device] += ((onehot @ self.pairs[:, :, device]) * onehot).sum(axis=1)
        found[:, self.log] = np.exp(np.minimum(found[:, self.log], 700.0))
        return np.maximum(found, self.floor)

    def state(self) -> dict[str, Array]:
        """What `of_state` takes, beside the names."""
        return {
            "weights": self.weights,
            "pairs": self.pairs,
            "intercept": self.intercept,
            "log": self.log.astype(np.float64),
            "floor": self.floor,
            "error": self.error,
        }

    @classmethod
    def of_state(cls, devices: Sequence[str], state: Mapping[str, Array]) -> SourceModels:
        """The models that `state` told of.

        Raises:
            PredictError: an array is missing or has another shape than the others ask for.
        """
        d = len(devices)
        p, k = (len(state[name]) if name in state else 0 for name in ("weights", "pairs"))
        shapes: dict[str, tuple[int, ...]] = {"weights": (p, d), "pairs": (k, k, d)}
        shapes |= dict.fromkeys(("intercept", "log", "floor", "error"), (d,))
        for name, shape in shapes.items():
            if name not in state or state[name].shape != shape:
                raise PredictError(f"the source models' '{name}' is missing or of a wrong shape")
        arrays = {name: np.asarray(state[name], np.float64) for name in shapes}
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise PredictError(f"the source models' '{name}' is not finite")
        log = arrays.pop("log") > 0.5
        return cls(tuple(devices), log=log, **arrays)


@dataclass(frozen=True)
class _Fit:
    weights: Array
    intercept: float
    log: bool
    floor: float
    error: float


class _Solver:
    """Ridge regressions on the same features (n, p), which were decomposed once."""

    def __init__(self, features: Array) -> None:
        self._centre = features.mean(axis=0)
        centred = features - self._centre
        n, p = centred.shape
        if p <= n:  # The smaller Gram matrix; much quicker than a singular value decomposition.
            squares, self._right = np.linalg.eigh(centred.T @ centred)
            self._singular = np.sqrt(np.maximum(squares, 0.0))
            self._left = centred @ self._right
        else:
            squares, left = np.linalg.eigh(centred @ centred.T)
            self._singular = np.sqrt(np.maximum(squares, 0.0))
            self._left = left * self._singular
            self._right = centred.T @ left
        # Directions without variance, which would be divided by zero.
        kept = self._singular > 1e-7 * max(float(self._singular.max(initial=0.0)), 1e-300)
        self._singular, self._left = (
            self._singular[kept],
            self._left[:, kept] / self._singular[kept],
        )
        self._right = self._right[:, kept]
        if p > n:
            self._right = self._right / self._singular
        self._squared_left = self._left**2

    def best(self, latencies: Array, scales: Sequence[bool]) -> _Fit:
        """The regression of least leave-one-out error; linear if both are equal."""
        floor = _FLOOR * float(np.median(latencies))
        floored = np.maximum(latencies, floor)
        found: tuple[float, bool, float] | None = None
        outside = np.maximum(1.0 - 1.0 / len(latencies) - self._squared_left.sum(axis=1), 0.0)
        outside[outside < 1e-9] = 0.0  # as many directions as rows
        for log in scales:
            target = np.log(floored) if log else floored
            centred = target - target.mean()
            projected = self._left.T @ centred
            rest = (centred - self._left @ projected) * (outside > 0)
            for strength in _STRENGTHS:
                # What the penalty keeps from being fitted; small where rows are interpolated.
                kept = 1.0 / (1.0 + self._singular**2 / (strength * len(target)))
                residual = rest + self._left @ (kept * projected)
                free = outside + self._squared_left @ kept
                left_out = target - residual / np.maximum(free, 1e-300)
                guess = np.exp(np.minimum(left_out, 700.0)) if log else left_out
                error = float(np.mean((guess - floored) ** 2))
                if found is None or error < found[0]:
                    found = error, log, float(strength)
        assert found is not None
        error, log, strength = found
        target = np.log(floored) if log else floored
        mean = float(target.mean())
        solved = self._singular / (self._singular**2 + strength * len(target))
        weights = self._right @ (solved * (self._left.T @ (target - mean)))
        return _Fit(
            weights,
            mean - float(self._centre @ weights),
            log,
            floor,
            float(np.sqrt(error) / floored.mean()),
        )


def _side_by_side(groups: Groups) -> Array:
    return np.concatenate([np.asarray(part, np.float64) for part in groups.values()], axis=1)


def _paired(groups: Groups) -> Array:
    """The one-hot decisions (n, k) whose products are features; k is 0 where they are not."""
    part = groups.get(_ONE_HOT)
    if part is None or part.shape[1] > _PAIR_COLUMNS:
        return np.zeros((len(next(iter(groups.values()))), 0))
    return np.asarray(part, np.float64)


def _column_weights(groups: Groups, pairs: int) -> Array:
    """Groups count alike, whatever their number of columns."""
    counts = [part.shape[1] for part in groups.values()]
    each = [np.full(count, 1.0 / np.sqrt(max(1, count))) for count in counts]
    return np.concatenate([*each, np.full(pairs, _PAIR_WEIGHT / np.sqrt(max(1, pairs)))])
