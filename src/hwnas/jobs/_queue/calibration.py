"""The calibration network: what tells whether the workers of one device name agree."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from hwnas.errors import describe
from hwnas.jobs._queue.envelopes import Calibrated
from hwnas.jobs._queue.evaluator import DeviceEvaluator, Evaluator, numbers
from hwnas.jobs._store.store import Store

TOLERANCE = 0.1
"""By which workers of one name may differ before it is told. Latencies at the reference speed of
a host agree within 4 % beside training, and within 1 % without."""

CALIBRATIONS = "calibrations.json"
"""The file of a job with what its workers told of the network, by device and worker."""

SHAPE = (1, 3, 32, 32)


def write_network(path: Path) -> None:
    """A fixed small convolutional network as an ONNX file of an opset that old runtimes read."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    random = np.random.RandomState(0)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    last = "x"

    def convolution(inputs: int, outputs: int, size: int, stride: int, groups: int = 1) -> None:
        nonlocal last
        name = f"c{len(weights)}"
        shape = (outputs, inputs // groups, size, size)
        values = random.standard_normal(shape) * (inputs // groups * size * size) ** -0.5
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"{name}.weight"))
        nodes.append(
            helper.make_node(
                "Conv",
                [last, f"{name}.weight"],
                [name],
                kernel_shape=[size, size],
                pads=[size // 2] * 4,
                strides=[stride, stride],
                group=groups,
            )
        )
        nodes.append(helper.make_node("Relu", [name], [f"{name}.relu"]))
        last = f"{name}.relu"

    convolution(3, 32, 3, 2)
    for _ in range(3):
        convolution(32, 32, 3, 1, groups=32)
        convolution(32, 64, 1, 1)
        convolution(64, 32, 3, 1)
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["y"]))
    given = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, SHAPE)
    told = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (1, 32, 1, 1))
    graph = helper.make_graph(nodes, "calibration", [given], [told], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model)
    onnx.save_model(model, str(path))


def calibrated(evaluator: DeviceEvaluator | Evaluator) -> tuple[float | None, str]:
    """The latency (ms) that an evaluator tells of the network, or None and why there is none.

    Raises:
        DeviceError: a device that measures no model at all.
    """
    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
        path = Path(folder, "calibration.onnx")
        write_network(path)
        if isinstance(evaluator, Evaluator):
            return _told(evaluator, path)
        import torch

        device = evaluator.device
        size = getattr(device, "batch_size", 1)
        if size > 1:
            return None, f"the device measures batches of {size}"
        (found,) = device.measure([path], torch.linspace(-1, 1, 3 * 32 * 32).reshape(SHAPE))
        return found.median, ""


def _told(evaluator: Evaluator, path: Path) -> tuple[float | None, str]:
    try:
        found = evaluator.calibrate(path)
        latency = None if found is None else numbers(found).get("latency")
    except Exception as error:  # noqa: BLE001 - an evaluator is the user's, and may take less
        return None, describe(error)
    return latency, "the evaluator tells no latency of it" if latency is None else ""


def known_calibrations(queue: Store) -> dict[str, float]:
    """What the workers of a queue have told so far, also those that have ended."""
    found = {}
    for name in queue.names("calibrations"):
        told = queue.read(name, Calibrated)
        if told is not None:
            found[told.worker] = told.latency
    return found


def deviation(worker: str, latency: float, known: Mapping[str, float]) -> float | None:
    """By which ratio a worker is above the median of the others; None if there is no other."""
    others = [value for name, value in known.items() if name != worker]
    return latency / median(others) - 1 if others else None


def disagreements(known: Mapping[str, float], tolerance: float = TOLERANCE) -> list[str]:
    """A line for each worker that differs from the median by more than `tolerance`.

    Of two workers none is the one that is wrong, and one line names both.
    """
    if len(known) == 2:
        (slow, most), (fast, least) = sorted(known.items(), key=lambda item: -item[1])
        if most / least - 1 <= tolerance:
            return []
        return [f"workers {slow} and {fast} differ by {most / least - 1:.0%} on one network"]
    lines = []
    for name, latency in known.items():
        off = latency / median(known.values()) - 1
        if abs(off) > tolerance:
            more = "more" if off > 0 else "less"
            lines.append(f"worker {name} measures {abs(off):.0%} {more} than most")
    return lines
