"""Latency: estimates from layers against whole networks, repeatability, honesty of intervals.

Run as `python -m benchmarks.latency [--quick] [--only PART] [--json FILE]`. The truth is the whole
network's canary-normalised median over long runs. Each part tells what share of the CPUs other
processes had meanwhile: beside other work the figures are worse than on a quiet host.
"""

from __future__ import annotations

import functools
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, Any

from benchmarks._mobilenets import random_mobilenet
from benchmarks._rows import Row, main

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hwnas import LocalDevice

SHAPE = (1, 3, 224, 224)
CALIBRATED_ON = 10
SPLITS = 200
PROCESSES = 10
"""That measure the truth: the same network differs by about 2 % between processes, which of one
process costs .01 of a rank correlation among 40 networks, and of three .005."""
BLOCKS = ("*",)
"""What the networks are a row of: stem, inverted residuals, head."""


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


@contextmanager
def noting(rows: list[Row], part: str) -> Iterator[None]:
    """Adds to the rows how long it took and what share of the CPUs other processes had."""
    say(f"{part}: load average {os.getloadavg()[0]:.1f}")
    before, began = _cpu_seconds(), time.perf_counter()
    yield
    busy, own = (now - then for now, then in zip(_cpu_seconds(), before, strict=True))
    took = time.perf_counter() - began
    share = max(0.0, busy - own) / took / (os.cpu_count() or 1)
    rows.append(Row(f"{part}: share of the CPUs that others had", share, "", None, "lower"))
    rows.append(Row(f"{part}: took", took, "s", None, "lower"))


def _cpu_seconds() -> tuple[float, float]:
    """CPU time of the host, and of this process with its ended children."""
    user, nice, system, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK"), own


@functools.cache
def networks(count: int) -> list[nn.Sequential]:
    """The same ones each time."""
    import torch

    torch.manual_seed(0)
    rng = random.Random(0)
    return [random_mobilenet(rng) for _ in range(count)]


@functools.cache
def image() -> Tensor:
    import torch

    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="hwnas-bench-")


@functools.cache
def _exporters() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(2, get_context("spawn"))


def _export(pickled: bytes, path: Path) -> Path:
    import cloudpickle
    import torch

    from hwnas.device import export_onnx

    torch.set_num_threads(1)
    return export_onnx(*cloudpickle.loads(pickled), path)


def exported(models: Sequence[nn.Module], inputs: Any) -> list[Path]:
    """The models as ONNX files, each made once, in two processes."""
    import cloudpickle

    each = inputs if isinstance(inputs, list) else [(inputs,)] * len(models)
    found = []
    for one in zip(models, each, strict=True):
        pickled = cloudpickle.dumps(one)
        path = Path(_folder().name) / f"{hashlib.sha256(pickled).hexdigest()}.onnx"
        if path.exists():
            found.append(path)
        else:
            found.append(_exporters().submit(_export, pickled, path))
    return [one if isinstance(one, Path) else one.result() for one in found]


def local_device(**settings: Any) -> LocalDevice:
    """A `LocalDevice` for which models are exported in two processes, and once for many devices."""
    from hwnas import LocalDevice

    class Exporting(LocalDevice):
        def measure_each(self, models: Any, inputs: Any, **options: Any) -> Any:
            if self.runtime == "onnxruntime":
                models = exported(models, inputs)
            return super().measure_each(models, inputs, **options)

    return Exporting(**settings)


@functools.cache
def macs(count: int) -> list[float]:
    """What a FLOPs baseline knows of the networks."""
    from hwnas.cost import static_costs

    return [static_costs(net, SHAPE, ["macs"])["macs"] for net in networks(count)]


def sums(label: str, granularities: Sequence[str], count: int, **device: Any) -> list[Row]:
    """Sums of parts against whole networks on one device."""
    from hwnas.device import LatencyEstimator, Timing

    rounds, runs = (10, 20) if count < 40 else (30, 40)
    rows: list[Row] = []
    with noting(rows, label), local_device(**device) as local:
        say(f"{label}: {count} whole networks, {PROCESSES} times {rounds} rounds each")
        long = Timing(width=None, time_cap=180, rounds=(rounds, rounds), processes=PROCESSES)
        truth = [one.median for one in local.measure_each(networks(count), image(), timing=long)]
        for granularity in granularities:
            say(f"{label}: {granularity} sums")
            blocks = {"blocks": BLOCKS} if granularity == "block" else {}
            estimator = LatencyEstimator(local, granularity=granularity, n_run=runs, **blocks)
            found = estimator.estimates(networks(count), image())
            assert all(one.coverage == 1 for one in found)
            rows.append(
                Row(
                    f"{label}, {granularity}: distinct",
                    len({part.item.key for one in found for part in one.items}),
                    "",
                    None,
                    "lower",
                )
            )
            rows += judged(f"{label}, {granularity}", [one.value for one in found], truth, count)
    return rows


TARGETS = {
    "onnxruntime 1 thread, block": (0.03, 0.98, 0.9, 0.99, 0.95),
    "onnxruntime 2 threads, block": (0.05, None, None, 0.98, None),
    "torch 1 thread, unit": (0.03, None, None, 0.98, None),
}
"""Held-out error, share within 10 % and within 5 %, Spearman's and Kendall's correlation."""


def judged(label: str, sums: Sequence[float], truth: Sequence[float], count: int) -> list[Row]:
    """How well sums tell the truth, raw and calibrated; beside it what FLOPs do, calibrated."""
    import numpy as np
    from scipy.stats import kendalltau, spearmanr

    true, raw = np.asarray(truth), np.asarray(sums)
    ours, theirs = held_out(sums, truth), held_out(macs(count), truth)
    goals = TARGETS.get(label, (None,) * 5)

    def row(figure: str, value: float, flops: float, target: float | None, better: Any) -> Row:
        known = float(flops), "FLOPs", True
        return Row(f"{label}: {figure}", float(value), "", target, better, *known)

    return [
        Row(f"{label}: error of the raw sum", float(abs(raw / true - 1).mean()), "", None, "lower"),
        row("held-out error", abs(ours).mean(), abs(theirs).mean(), goals[0], "lower"),
        *(
            row(
                f"within {within:.0%}",
                (abs(ours) <= within).mean(),
                (abs(theirs) <= within).mean(),
                goal,
                "higher",
            )
            for within, goal in ((0.1, goals[1]), (0.05, goals[2]))
        ),
        *(
            row(name, rank(raw, true)[0], rank(macs(count), true)[0], goal, "higher")
            for name, rank, goal in (
                ("Spearman", spearmanr, goals[3]),
                ("Kendall", kendalltau, goals[4]),
            )
        ),
    ]


def held_out(estimates: Sequence[float], truth: Sequence[float]) -> Any:
    """Relative errors of the networks that a calibration on ten others did not see."""
    import numpy as np

    from hwnas.device import Calibration
    from hwnas.errors import DeviceError

    x, y = np.asarray(estimates), np.asarray(truth)
    rng, errors = np.random.default_rng(0), []
    for _ in range(SPLITS):
        order = rng.permutation(len(x))
        seen, unseen = order[:CALIBRATED_ON], order[CALIBRATED_ON:]
        try:
            line = Calibration.fit(x[seen].tolist(), y[seen].tolist())
            predicted = [line.apply(float(x[i])).value for i in unseen]
        except DeviceError:  # on a very busy host the estimates may tell nothing
            predicted = [y[seen].mean()] * len(unseen)
        errors += (predicted / y[unseen] - 1).tolist()
    return np.asarray(errors)


def _count(quick: bool) -> int:
    return 12 if quick else 40


def onnxruntime(quick: bool) -> list[Row]:
    # Exporting hundreds of operators takes minutes.
    kinds = ("block",) if quick else ("operator", "unit", "block")
    return sums("onnxruntime 1 thread", kinds, _count(quick), runtime="onnxruntime")


def two_threads(quick: bool) -> list[Row]:
    return sums("onnxruntime 2 threads", ("block",), _count(quick), threads=2)


def eager(quick: bool) -> list[Row]:
    return sums("torch 1 thread", ("unit",), _count(quick), runtime="torch")


TIMEIT = """
import sys, timeit, statistics, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
given = {session.get_inputs()[0].name: numpy.zeros((1, 3, 224, 224), "float32")}
timer = timeit.Timer(lambda: session.run(None, given))
timer.timeit(10)
number = max(1, round(float(sys.argv[2]) / (timer.timeit(10) / 10) / 5))
print(statistics.median(timer.repeat(5, number)) / number)
"""
LOAD = "while True: sum(i * i for i in range(100000))"


def repeatability(quick: bool) -> list[Row]:
    """The same network in ten sessions, each a process of its own, and in a plain timeit loop."""
    from hwnas import LocalDevice
    from hwnas.device import Timing

    (path,), rows = exported(networks(1), image()), []
    seconds = 1.5 if quick else 6.0
    timing = Timing(width=1e-3, time_cap=seconds)
    reference: float | None = None
    for label, busy in (("quiet", False), ("other core loaded", True)):
        ours: list[float] = []
        plain: list[float] = []
        with noting(rows, f"10 sessions, {label}"), _load(busy):
            for session in range(10):
                with LocalDevice(reference=reference, timing=timing) as device:
                    (one,) = device.measure([path], image())
                    reference = device.reference
                ours.append(one.median)
                run = [sys.executable, "-c", TIMEIT, str(path), str(seconds)]
                plain.append(1e3 * float(subprocess.check_output(run, text=True)))
                say(
                    f"session {session + 1}: {one.median:.3f} ms ({one.low:.3f} to {one.high:.3f}, "
                    f"{one.n} rounds), clocked {one.raw_median:.3f}; timeit {plain[-1]:.3f}"
                )
        figure = f"10 sessions, {label}: variation of the median"
        peer = stdev(plain) / fmean(plain), "timeit", True
        rows.append(Row(figure, stdev(ours) / fmean(ours), "", 0.02, "lower", *peer))
    return rows


@contextmanager
def _load(wanted: bool) -> Iterator[None]:
    """Keeps every CPU busy but the last, which is the one that a worker of one thread takes."""
    running = []
    for cpu in sorted(os.sched_getaffinity(0))[:-1] if wanted else ():
        pin = f"import os; os.sched_setaffinity(0, {{{cpu}}}); "
        running.append(subprocess.Popen([sys.executable, "-c", pin + "exec(" + repr(LOAD) + ")"]))
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def intervals(quick: bool) -> list[Row]:
    """How many 95 % intervals of short sessions hold the long-run value.

    Each session has a process of its own, and so has each of the long runs between them, whose
    median is the truth; the first of them fixes the reference speed.
    """
    from hwnas import LocalDevice
    from hwnas.device import Timing

    (path,), rows = exported(networks(1), image()), []
    runs, repetitions = (5, 4) if quick else (10, 5)
    long = Timing(width=None, time_cap=60, rounds=(150, 150) if quick else (400, 400))
    reference: float | None = None
    short, truths = [], []
    with noting(rows, "intervals"):
        for run in range(runs):
            for timing in (long, *[None] * repetitions):
                with LocalDevice(reference=reference, timing=timing) as device:
                    (one,) = device.measure([path], image())
                    reference = device.reference
                if timing is None:
                    short.append(one)
                else:
                    truths.append(one.median)
                say(
                    f"run {run + 1}, {'short' if timing is None else 'long'}: {one.median:.3f} ms "
                    f"({one.low:.3f} to {one.high:.3f}), host {one.canary.drift:+.1%}"
                )
    truth = median(truths)
    held = fmean(one.low <= truth <= one.high for one in short)
    width = median((one.high - one.low) / 2 / one.median for one in short)
    figure = f"intervals of {len(short)} short sessions that hold the long-run value"
    return [
        *rows,
        Row(figure, held, "", 0.9, "higher"),
        Row("their half width, median", width, "", None, "lower"),
        Row("their medians, variation", stdev(x.median for x in short) / truth, "", None, "lower"),
        Row("long runs, variation between processes", stdev(truths) / truth, "", None, "lower"),
    ]


def proxylessnas(quick: bool) -> list[Row]:
    """A whole space offline, killed on the way and gone on with."""
    from hwnas import LocalDevice
    from hwnas.cost import profile_space
    from hwnas.device import MeasurementStore, Timing
    from hwnas.zoo import load_space

    space, rows = load_space("proxylessnas"), []
    timing = Timing(width=0.05, time_cap=0.1) if quick else None
    with tempfile.TemporaryDirectory() as folder, noting(rows, "proxylessnas"):
        path = Path(folder) / "store.sqlite"
        say("proxylessnas: the first 24 parts in a process that is then killed")
        child = get_context("spawn").Process(target=_profile, args=(path, timing))
        began = time.perf_counter()
        child.start()
        while child.is_alive() and _stored(path) < 24:
            time.sleep(0.1)
        child.kill()
        child.join()
        kept, measured = _stored(path), []
        say(f"proxylessnas: {kept} are kept, the others follow")
        with LocalDevice(timing=timing) as device, MeasurementStore(path) as store:
            profile = profile_space(
                space, SHAPE, device, store=store, progress=lambda part, _: measured.append(part)
            )
        took = time.perf_counter() - began
    count = profile.count
    twice = kept + len(measured) - len(profile.measurements)
    return [
        *rows,
        Row("proxylessnas: distinct parts", count, "", None, "lower"),
        Row("proxylessnas: time for all", took, "s", None, "lower"),
        Row("proxylessnas: time per part", took / count, "s", None, "lower"),
        Row("proxylessnas: parts measured twice after a kill", twice, "", 0, "lower"),
    ]


def _profile(path: Path, timing: Any) -> None:
    from hwnas import LocalDevice
    from hwnas.cost import profile_space
    from hwnas.device import MeasurementStore
    from hwnas.zoo import load_space

    with LocalDevice(timing=timing) as device, MeasurementStore(path) as store:
        profile_space(load_space("proxylessnas"), SHAPE, device, store=store)


def _stored(path: Path) -> int:
    from hwnas.device import MeasurementStore

    if not path.exists():
        return 0
    with MeasurementStore(path) as store:
        return len(store)


PARTS: dict[str, Callable[[bool], list[Row]]] = {
    "onnxruntime": onnxruntime,
    "threads": two_threads,
    "eager": eager,
    "repeatability": repeatability,
    "intervals": intervals,
    "proxylessnas": proxylessnas,
}

if __name__ == "__main__":
    main("latency", PARTS)
