"""A device of this machine predicted from three others and ten measurements.

ONNX Runtime and PyTorch's eager mode, each with one thread and with two, are four devices. All 56
networks of `digits_cnn` are measured on each, and random ones of `mobilenetv3` at 64 x 64 pixels.
Each device is left out in turn: a predictor that was fitted on the other three chooses ten archs
(of a random half of those that were measured), adapts to their latencies, and predicts the rest.
Beside it stands a regression on the same ten measurements alone, without the other devices.

Run as `python -m benchmarks._predict_real [--quick] [--json FILE]`. Nothing that was measured
before is used. With `HWNAS_REAL_STORE` the measurements are kept in that file, and a run that was
cut off goes on there.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from statistics import fmean

from benchmarks._rows import Row, main

DEVICES = {
    "onnxruntime, 1 thread": "ort1=onnxruntime?threads=1",
    "onnxruntime, 2 threads": "ort2=onnxruntime?threads=2",
    "eager, 1 thread": "eager1=torch?threads=1",
    "eager, 2 threads": "eager2=torch?threads=2",
}
SPACES = {"digits_cnn": ((1, 8, 8), 56), "mobilenetv3": ((3, 64, 64), 80)}
QUICK = {"digits_cnn": 30, "mobilenetv3": 25}
N = 10
SEEDS = 8


def real(quick: bool) -> list[Row]:
    """The median relative error on each device that is left out."""
    kept = os.environ.get("HWNAS_REAL_STORE")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(kept) if kept else Path(folder) / "measurements.sqlite"
        return [
            row
            for name, (shape, count) in SPACES.items()
            for row in _space(name, shape, QUICK[name] if quick else count, path)
        ]


def _space(name: str, shape: tuple[int, ...], count: int, path: Path) -> list[Row]:
    from hwnas.device import MeasurementStore
    from hwnas.jobs import measure_archs, random_archs
    from hwnas.predict import SourceTable, held_out, known_predictor
    from hwnas.zoo import load_space

    space, measured = load_space(name, shape), {}
    archs = random_archs(space)[: count + 10]
    with MeasurementStore(path) as store:
        for device, spec in DEVICES.items():
            measured[device] = measure_archs(
                space, archs, spec, count, input_shape=shape, store=store
            )
    table = SourceTable.of(name, measured, input_shape=shape)
    size = "x".join(map(str, shape[1:]))
    rows, errors, alone = [], [], []
    for device in DEVICES:
        others = table.only([other for other in DEVICES if other != device])
        predictor = known_predictor(name, others, input_shape=shape)
        ridge = known_predictor(name, method="ridge", input_shape=shape)
        error, by_ridge = (
            fmean(held_out(one, table, device, N, seed=seed).median_error for seed in range(SEEDS))
            for one in (predictor, ridge)
        )
        errors.append(error)
        alone.append(by_ridge)
        figure = f"{name} at {size}: {device}, from {N} measurements, median error"
        rows.append(_row(figure, error, by_ridge))
    figure = f"{name} at {size}: mean of the four devices, median error"
    return [*rows, _row(figure, fmean(errors), fmean(alone))]


def _row(figure: str, error: float, by_ridge: float) -> Row:
    return Row(
        figure, 100 * error, "%", None, "lower", 100 * by_ridge, "ridge, no other device", True
    )


if __name__ == "__main__":
    main("_predict_real", real)
